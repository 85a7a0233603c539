"""The same meaning for numbers alone."""
