"""Addresses of remote storages in messages: without passwords, and with what a storage says on one line."""

from __future__ import annotations

import errno
import re

from importer.quoting import printable

_HIDDEN = "***"
_USER = re.compile(r"//[^/@\s]+@")


def shown_url(url: str) -> str:
    """Return an address without its password and query."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if at:
        place = f"{_HIDDEN}@{host}" if ":" in user else place
    elif ":" in place and "@" in path and not place.partition(":")[2].isdigit():
        place, slash, path = f"{_HIDDEN}@", "", rest.rpartition("@")[2]  # a key that holds a slash
    path, query, _ = path.partition("?")
    return f"{scheme}://{place}{slash}{path}{'?' + _HIDDEN if query else ''}"


def explain(error: Exception, url: str) -> str:
    """Return what a file system says, on one line and without the secrets of the address."""
    kind, shown = type(error).__name__, shown_url(url)
    if "Credential" in kind:
        return "no credentials were found: give them as usual for that storage"
    if isinstance(error, PermissionError):
        return "access denied: check the credentials and what they allow"
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    user = url.partition("://")[2].rpartition("@")[0]
    query = url.partition("?")[2]
    said = said.replace(url, shown)
    for secret in (user, user.partition(":")[2], query):
        said = said.replace(secret, "***") if secret and secret not in shown else said
    return printable(_USER.sub("//***@", said)[:200] or kind)


def os_error(error: Exception, url: str) -> OSError:
    """Return an error of a storage as one of a file on this machine."""
    return OSError(getattr(error, "errno", None) or errno.EIO, explain(error, url))
