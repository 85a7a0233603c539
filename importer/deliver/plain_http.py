"""Whether a key and prompts would cross a network that anyone on it can read."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from importer.quoting import shown_host


def plain_http_warning(host: str) -> str | None:
    """One line for the user where events go unencrypted to another machine; otherwise None."""
    parts = urlsplit(host)
    if parts.scheme != "http" or _is_loopback(parts.hostname or ""):
        return None
    return (
        f"{shown_host(host)} is plain HTTP: your API key and everything that is sent can be read on the way. "
        "Use https."
    )


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
