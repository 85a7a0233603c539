"""Which files are sessions, how they are read, and whose they are."""
