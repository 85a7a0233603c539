"""What a person sees: console, progress, tables, live view."""
