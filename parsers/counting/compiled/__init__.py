"""Compiled code that runs ahead over plain lines."""
