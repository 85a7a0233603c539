"""Where things are: this program's ledger and cache, pi's agent folder and settings, every agent's sessions.

Source: pi 0.87.1, ``dist/config.js`` (getAgentDir), ``dist/main.js`` (order of the session folders),
``dist/core/settings-manager.js`` (settings.json) and ``dist/utils/paths.js`` (``~`` and ``file://``).
pi's project-level ``.pi/settings.json`` is left out: the folder that the importer is started in must not
decide which files it sends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from importer.errors import UsageError
from importer.files import open_file
from importer.quoting import printable, quoted
from parsers.agents import PI, Agent, Place

LEDGER_NAME = "ledger.sqlite3"
AGENT_DIR_VARIABLE = "PI_CODING_AGENT_DIR"
_VARIABLE = re.compile(r"\$(\w+)")


def default_ledger() -> Path:
    """Return the ledger's file where the user names none: in the user's state folder."""
    import platformdirs

    return Path(platformdirs.user_state_dir("pi2posthog", appauthor=False)) / LEDGER_NAME


def default_cache() -> Path:
    """Return the cache's file: in the user's cache folder."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("pi2posthog", appauthor=False)) / "counted.sqlite3"


def agent_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return pi's agent folder as an absolute path, existing or not.

    It is ``PI_CODING_AGENT_DIR`` (a relative path counts from the working directory), else ``~/.pi/agent``.

    Raises:
        UsageError: the home folder is needed and unknown, or the variable holds a ``file://`` URL of
            another computer.
    """
    named = environ.get(AGENT_DIR_VARIABLE)
    if named:
        return _resolve(named, environ, AGENT_DIR_VARIABLE)
    return _find_home(environ) / ".pi" / "agent"


def default_session_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that pi keeps its sessions in as an absolute path, existing or not.

    It is the first of: ``PI_CODING_AGENT_SESSION_DIR``; ``sessionDir`` in ``<agent dir>/settings.json``;
    ``<agent dir>/sessions``. Raises as `session_place`.
    """
    folder, sessions = session_place(PI, environ)
    return folder / sessions


def session_place(agent: Agent, environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """Return an agent's folder as an absolute path, existing or not, and where below it its sessions are.

    It is the agent's first place whose variables are set, and which exists if it is optional.

    Raises:
        UsageError: as `agent_dir`, or an agent's settings file cannot be read or does not hold a text there:
            another folder, guessed, would leave sessions out and nobody would see it.
    """
    for place in agent.places:
        folder = _expand(place.folder, environ)
        if folder is None or (place.optional and not folder.exists()):
            continue
        configured = _read_configured(place, folder, environ)
        return (configured, "") if configured else (folder, place.sessions)
    raise UsageError(f"{agent.title} has no session folder: pass a session file or a folder as PATH")


def _expand(pattern: str, environ: Mapping[str, str]) -> Path | None:
    """Return the path that a place's pattern stands for; None if a variable in it is not set."""
    values = {name: _get_variable(name, environ) for name in _VARIABLE.findall(pattern)}
    if not all(values.values()):
        return None
    text = _VARIABLE.sub(lambda match: values[match[1]], pattern)
    return _resolve(text, environ, next(iter(values), "HOME"))


def _get_variable(name: str, environ: Mapping[str, str]) -> str:
    """Return a variable's value. A profile called ``default`` is none (OpenClaw's and oh-my-pi's rule)."""
    value = environ.get(name, "")
    return "" if name.endswith("_PROFILE") and value.strip() == "default" else value


def _read_configured(place: Place, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the folder that the settings file of a place names; None if it names none."""
    if place.setting is None:
        return None
    path, key = folder / place.setting[0], place.setting[1]
    configured = (read_json_object(path) or {}).get(key)
    if configured is None or configured == "":
        return None
    name = f"{key} in {printable(path)}"
    if not isinstance(configured, str):
        raise UsageError(f"{name} is {quoted(configured)}: use the path of a folder")
    return _resolve(configured, environ, name)


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a UTF-8 file, with or without a byte order mark; None if there is no file.

    Raises:
        UsageError: the file cannot be read, is not JSON, or holds something other than an object.
    """
    try:
        with open_file(path) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {printable(path)}: {error.strerror}") from None
    try:
        value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{printable(path)} is not JSON: {printable(error)}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{printable(path)} does not hold a JSON object: use {{…}}")
    return value


def _find_home(environ: Mapping[str, str]) -> Path:
    """Return the home folder as Node's ``os.homedir()`` finds it."""
    named = environ.get("USERPROFILE" if os.name == "nt" else "HOME")
    if named:
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(f"the home folder is unknown: set HOME or {AGENT_DIR_VARIABLE}") from None


def _resolve(text: str, environ: Mapping[str, str], name: str) -> Path:
    """Return the absolute path that pi takes ``text`` for. Only a leading ``~`` alone is expanded."""
    if text == "~":
        text = str(_find_home(environ))
    elif text.startswith("~/") or (os.name == "nt" and text.startswith("~\\")):
        text = str(_find_home(environ) / text[2:])
    elif text.startswith("file://"):
        url = urlsplit(text)
        if url.netloc not in {"", "localhost"}:
            raise UsageError(f"{name} is {quoted(text)}: use the path of a folder on this computer")
        text = unquote(url.path)
        if os.name == "nt":
            text = text.lstrip("/")
    if "\0" in text:
        raise UsageError(f"{name} is {quoted(text)}: use the path of a folder")
    return Path(os.path.abspath(text))
