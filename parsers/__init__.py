"""Pure parsing of pi session files: bytes in, records out."""
