"""What this library measures about itself: the instruments, their values, and the port that Prometheus reads."""
