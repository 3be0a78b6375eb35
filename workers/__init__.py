"""What is deployed: each module wires and starts, none decides."""
