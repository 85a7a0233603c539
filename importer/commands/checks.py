"""What `pi2posthog doctor` can say without a network: settings, session files, the ledger."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from importer.errors import DamagedLedgerError, LedgerError, Pi2PosthogError, UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.locking import holder
from importer.places import read_json_object
from importer.quoting import encodable
from importer.screen.amounts import size
from importer.sessions.discovery import find_sessions
from importer.sessions.session_file import SessionFile, Skipped
from importer.sessions.storage import common_folder
from importer.settings import Settings
from parsers.agents import AGENTS

MAX_NAMED = 5
NEWEST_FORMAT = 3  # pi 0.87.1, dist/core/session-manager.js (CURRENT_SESSION_VERSION)
LITTLE_SPACE = 100 * 1000 * 1000
_INTERNAL = ("sources", "config_path")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor.

    Attributes:
        section: what it is about.
        name: what was looked at.
        state: whether something is wrong; only a problem keeps pi2posthog from working.
        found: what was found.
        advice: what to do; only where something is wrong.
        data: the same for programs.
    """

    section: str
    name: str
    state: Literal["ok", "warning", "problem"]
    found: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def masked(api_key: str) -> str:
    """The key as it may be shown: its first 4 and last 2 characters, of a short one nothing."""
    return f"{api_key[:4]}…{api_key[-2:]}" if len(api_key) >= 12 else "…"


def failed(section: str, name: str, error: Pi2PosthogError, between: str = ": ") -> Check:
    """A check for an error whose line says first what is wrong, and then what to do."""
    found, separator, advice = str(error).rpartition(between)
    if not separator:
        found, advice = advice, ""
    return Check(section, name, "problem", found, advice)


def settings_checks(settings: Settings) -> Iterator[Check]:
    """Where the settings come from: the host, the key, and each that is no default."""
    defaults = 0
    for each in fields(settings):
        if each.name in _INTERNAL:
            continue
        source = settings.sources.get(each.name, "default")
        if source == "default" and each.name not in ("host", "api_key"):
            defaults += 1
            continue
        yield _setting(settings, each.name, source)
    yield _config_file(settings.config_path)
    yield Check("settings", "others", "ok", f"{defaults} settings have their defaults")
    if not settings.enabled:
        yield Check(
            "settings", "switched off", "warning", "nothing is sent", "set POSTHOG_ENABLED=true to send"
        )


def _setting(settings: Settings, name: str, source: str) -> Check:
    where = {"environment": f"POSTHOG_{name.upper()}", "flag": f"--{name.replace('_', '-')}"}.get(
        source, source
    )
    label = "API key" if name == "api_key" else name.replace("_", " ")
    data = {"source": encodable(Path(source))}
    if name != "api_key":
        value = getattr(settings, name)
        shown = ", ".join(f"{k}:{v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        return Check("settings", label, "ok", f"{shown} ({where})", data=data)
    if settings.api_key is None:
        advice = "set POSTHOG_API_KEY, or apiKey in posthog.json: Settings > Project > General in PostHog"
        return Check("settings", label, "problem", "there is none, so nothing can be sent", advice, data)
    return Check("settings", label, "ok", f"{masked(settings.api_key)} ({where})", data=data)


def _config_file(path: Path) -> Check:
    known = {_camel(each.name) for each in fields(Settings) if each.name not in _INTERNAL}
    config = read_json_object(path)
    if config is None:
        return Check("settings", "config file", "ok", f"none at {path}")
    unknown = sorted(config.keys() - known)
    if not unknown:
        return Check("settings", "config file", "ok", f"{path}")
    named = ", ".join(name[:40] for name in unknown[:MAX_NAMED])
    found = f"{path} has keys that pi2posthog does not know: {named}"
    return Check("settings", "config file", "warning", found, "check how they are spelled")


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def session_checks(paths: Sequence[str | Path], origin: str | None) -> Iterator[Check]:
    """The session files that can and cannot be read, and the versions of their format.

    Raises:
        UsageError: the user named a file or folder that does not exist, or no agent.
    """
    try:
        found = find_sessions(paths, origin)
    except UsageError as error:
        if paths or (origin is not None and origin not in AGENTS):
            raise
        yield failed("sessions", "files", error)
        return
    if found.sessions:
        yield _readable(found.sessions)
        yield from _formats(found.sessions)
    elif not any(skipped.serious for skipped in found.skipped):
        advice = "use the agent once, or name the folder of its sessions as PATH"
        yield Check("sessions", "files", "warning", "no session files", advice, {"files": 0})
    yield from _skipped(found.skipped)


def _readable(sessions: Sequence[SessionFile]) -> Check:
    total = sum(file.size for file in sessions)
    newest_s = max(file.mtime_ns for file in sessions) / 1e9
    folder = common_folder([file.path.parent for file in sessions])
    found = f"{_files(len(sessions))}, {size(total)}, in {folder}; the newest of {_day(newest_s)}"
    return Check("sessions", "files", "ok", found, data={"files": len(sessions), "bytes": total})


def _formats(sessions: Sequence[SessionFile]) -> Iterator[Check]:
    """The versions that the headers name; no agent records its own version in a session file."""
    for title in sorted({file.agent.title for file in sessions}):
        counts = Counter(file.version for file in sessions if file.agent.title == title)
        listed = sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or 0))
        named = ", ".join(f"version {version or '?'} in {_files(count)}" for version, count in listed)
        unknown = [version for version, _ in listed if version is None or not 1 <= version <= NEWEST_FORMAT]
        data = {"versions": {str(version): count for version, count in listed}}
        if unknown and title == "pi":
            advice = "look for a newer pi2posthog, and check with preview that the sums are right"
            found = f"{named}; versions 1 to {NEWEST_FORMAT} are known"
            yield Check("sessions", f"{title} format", "warning", found, advice, data)
        else:
            found = f"{named}; {title}'s own version is not recorded in them"
            yield Check("sessions", f"{title} format", "ok", found, data=data)


def _skipped(skipped: Sequence[Skipped]) -> Iterator[Check]:
    serious = [each for each in skipped if each.serious]
    for each in serious[:MAX_NAMED]:
        data = {"path": encodable(each.path)}
        advice = "check its permissions, then run the same command again"
        yield Check("sessions", "unreadable", "warning", f"{each.path}: {each.reason}", advice, data)
    if len(serious) > MAX_NAMED:
        more = f"{len(serious) - MAX_NAMED} more files cannot be read"
        yield Check("sessions", "unreadable", "warning", more, "pi2posthog preview --json lists them")
    reasons = Counter(each.reason for each in skipped if not each.serious)
    if reasons:
        listed = ", ".join(f"{_files(count)}: {reason}" for reason, count in reasons.most_common(MAX_NAMED))
        yield Check("sessions", "left out", "ok", listed, data={"files": sum(reasons.values())})


def ledger_checks(path: Path) -> Iterator[Check]:
    """Whether the ledger can be read and written, what it holds, and who writes it."""
    pid = holder(path)
    try:
        with Ledger.open(path, read_only=True) as ledger:
            known = ledger.describe()
            ledger.check()
            version = ledger.version()
    except UsageError as error:
        # "what is wrong: what to do" for damage, "what is wrong; what to do" for the rest
        yield failed("ledger", "file", error, ": " if isinstance(error, DamagedLedgerError) else "; ")
        return
    except LedgerError as error:
        yield failed("ledger", "file", error, "; ")
        return
    data: dict[str, Any] = {"path": encodable(path), "exists": path.exists()}
    if path.exists():
        count = sum(destination.delivered for destination in known)
        bytes_ = sum(_size_of(path.with_name(path.name + suffix)) for suffix in ("", "-wal"))
        data |= {"ids": count, "bytes": bytes_, "version": version, "destinations": len(known)}
        found = f"{path}: {count:,} events delivered, {size(bytes_)}, version {version}, intact"
        yield Check("ledger", "file", "ok", found, data=data)
    else:
        yield Check("ledger", "file", "ok", f"{path} is made by the first delivery", data=data)
    yield _writable(path)
    if pid is not None:
        by = f"process {pid}" if pid else "another process"
        found = f"in use by {by}, a watcher or backfill; another one has to wait for it"
        yield Check("ledger", "in use", "ok", found, data={"pid": pid})
    else:
        yield Check("ledger", "in use", "ok", "no watcher or backfill is at work", data={"pid": None})
    for destination in known:
        error_ms = destination.last_error_ms or 0
        if destination.last_error and error_ms > (destination.last_delivered_ms or 0):
            found = f"{destination.host}, {_day(error_ms / 1000)}: {destination.last_error}"
            advice = "run pi2posthog backfill to send what is left"
            yield Check("ledger", "last error", "warning", found, advice)


def _writable(path: Path) -> Check:
    """Whether its folder can be written, and how much room is there."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    places = [folder, *(place for place in (path, path.with_name(path.name + ".lock")) if place.exists())]
    for place in places:
        if not os.access(place, os.W_OK):
            advice = "give yourself the right to write there, or name another file with --state"
            return Check("ledger", "disk", "problem", f"{place} cannot be written", advice)
    disk = shutil.disk_usage(folder)
    free = disk.free
    data = {"free_bytes": free}
    if free < LITTLE_SPACE and disk.total:  # some network file systems do not tell
        advice = "make room: delivery stops when the ledger cannot be written"
        return Check("ledger", "disk", "warning", f"only {size(free)} free in {folder}", advice, data)
    return Check("ledger", "disk", "ok", f"{size(free)} free", data=data)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(count: int) -> str:
    return f"{count:,} file{'s' if count != 1 else ''}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
