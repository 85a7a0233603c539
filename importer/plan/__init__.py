"""What an import would send."""
