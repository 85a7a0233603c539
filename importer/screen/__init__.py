"""What a person sees: streams, progress, tables, the live view of a watch, and amounts in words."""
