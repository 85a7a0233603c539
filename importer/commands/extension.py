"""PostHog's own pi extensions: beside one of them, every call counts twice, under different ids, for ever.

Source: pi 0.87.1, ``docs/packages.md`` and ``docs/settings.md`` (``packages``, ``extensions``) and
``docs/extensions.md`` (``<agent dir>/extensions``: files, and folders with an ``index.ts`` or ``index.js``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from importer.errors import UsageError
from importer.files import open_file
from importer.places import agent_dir, read_json_object
from importer.quoting import printable

SETTINGS_NAME = "settings.json"
_NAMES = ("@posthog/pi", "pi-posthog")
# As an npm or git source, or as folders of a path: npm:@posthog/pi@0.1.1, git:github.com/x/pi-posthog.git
_NAMED = re.compile(
    r"(?:^|[:/\\])(?:@?posthog[/\\]pi|pi-posthog)(?:\.git|\.[jt]s)?(?:[@#/\\].*)?$", re.IGNORECASE
)
_IMPORTED = re.compile(rb"""["'](?:@posthog/pi|pi-posthog)["'/]""")
_MOST_BYTES = 256 * 1024  # of a file that is searched for an import
REMEDY = "send only what is older (backfill --until the day it was installed), or remove it"


def find_extension(environ: Mapping[str, str] = os.environ) -> str | None:
    """Find an extension of PostHog's that pi loads.

    Args:
        environ: the environment, which names pi's agent folder.

    Returns:
        What pi loads, and where that is said, for messages; None where nothing is found, or cannot be read.

    Example:
        >>> find_extension()
        'npm:@posthog/pi@0.1.1 in /home/me/.pi/agent/settings.json'
    """
    try:
        folder = agent_dir(environ)
        settings = read_json_object(folder / SETTINGS_NAME) or {}
    except UsageError:
        return None
    for source in _list_sources(settings):
        if _NAMED.search(source) or _is_extension(_resolve(source, folder)):
            return f"{printable(source)} in {printable(folder / SETTINGS_NAME)}"
    try:
        held = sorted((folder / "extensions").iterdir())
    except OSError:
        return None
    for path in held:
        for inner in (path, path / "pi") if path.name == "@posthog" else (path,):
            if inner.exists() and (_NAMED.search(inner.as_posix()) or _is_extension(inner)):
                return printable(inner)
    return None


def describe_extension(found: str) -> str:
    """Return one line about what `find_extension` found. `REMEDY` says what to do."""
    return f"pi also runs PostHog's own extension ({found}), and every call that both send counts twice"


def refuse_extension(found: str) -> UsageError:
    """Return the error for sending beside an extension where nobody can be asked."""
    return UsageError(f"{describe_extension(found)}: {REMEDY}; --beside-extension sends all the same")


def _list_sources(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages and extensions that pi's settings name, but for those that they switch off."""
    for key in ("packages", "extensions"):
        named = settings.get(key)
        for each in named if isinstance(named, list) else ():
            if isinstance(each, dict):
                if each.get("extensions") == []:
                    continue
                each = each.get("source")
            if isinstance(each, str) and not each.startswith(("!", "-")):
                yield each.removeprefix("+")


def _resolve(source: str, folder: Path) -> Path | None:
    """Return the local path that a source of pi's settings is, if it is one."""
    if source.startswith(("npm:", "git:")) or "://" in source or "\0" in source:
        return None
    return folder / os.path.expanduser(source)


def _is_extension(path: Path | None) -> bool:
    """Tell whether a file or folder is PostHog's extension, or does nothing but load it."""
    if path is None:
        return False
    try:
        if (read_json_object(path / "package.json") or {}).get("name") in _NAMES:
            return True
    except UsageError:
        pass  # a file, or no JSON
    for file in (path, path / "index.ts", path / "index.js"):
        try:
            with open_file(file) as stream:
                if _IMPORTED.search(stream.read(_MOST_BYTES)):
                    return True
        except OSError:
            continue
    return False
