"""What listens to events; none knows another."""
