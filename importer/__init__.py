"""The world around the parsers: settings, disk, network and screen."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pi-posthog")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
