"""The world around the parsers: settings, disk, network and screen."""

__version__ = "0.1.0"
