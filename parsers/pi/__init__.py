"""pi's session format and its one meaning."""
