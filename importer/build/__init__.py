"""Records to PostHog events: properties, chat messages, redaction, size."""
