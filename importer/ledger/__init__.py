"""What was delivered, and where to."""
