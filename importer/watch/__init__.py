"""The live tail: session files followed as they grow."""
