"""The checks of `pi2posthog doctor` that need no network: settings, session files, the ledger."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from importer.build.cost import PLAN, SUBSCRIPTIONS
from importer.commands.extension import REMEDY, describe_extension, find_extension
from importer.errors import DamagedLedgerError, LedgerError, Pi2PosthogError, UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.ledger_file import Destination
from importer.ledger.locking import find_holder, find_target
from importer.places import read_json_object
from importer.quoting import encodable
from importer.screen.amounts import format_count, format_minute, format_size
from importer.sessions.discovery import find_sessions
from importer.sessions.paths import common_folder
from importer.sessions.session_file import SessionFile, Skipped
from importer.settings import Settings
from parsers.agents import AGENTS

MAX_NAMED = 5
NEWEST_FORMAT = 3  # pi 0.87.1, dist/core/session-manager.js (CURRENT_SESSION_VERSION)
MIN_FREE_BYTES = 100_000_000
_NO_SETTINGS = ("sources", "config_path", "prices")  # fields of Settings that no user sets


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor.

    Example::

        Check("ledger", "disk", "warning", "only 3.0 MB free", "make room", {"free_bytes": 3_000_000})

    Attributes:
        section: what the check is about: program, settings, sessions, ledger or posthog.
        name: what was looked at.
        state: whether something is wrong; only a problem keeps pi2posthog from working.
        found: what was found.
        advice: what to do; empty if nothing is wrong.
        data: what was found, for programs.
    """

    section: str
    name: str
    state: Literal["ok", "warning", "problem"]
    found: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def mask_key(api_key: str) -> str:
    """Return a key as it may be shown: its first 4 and last 2 characters, of a short one nothing."""
    return f"{api_key[:4]}…{api_key[-2:]}" if len(api_key) >= 12 else "…"


def check_error(section: str, name: str, error: Pi2PosthogError, between: str = ": ") -> Check:
    """Return a problem for an error whose line says first what is wrong, and then what to do."""
    found, separator, advice = str(error).rpartition(between)
    if not separator:
        found, advice = advice, ""
    return Check(section, name, "problem", found, advice)


def check_settings(settings: Settings) -> Iterator[Check]:
    """Check where the settings come from: the host, the key, and each that is not its default."""
    defaults = 0
    for each in fields(settings):
        if each.name in _NO_SETTINGS:
            continue
        source = settings.sources.get(each.name, "default")
        if source == "default" and each.name not in ("host", "api_key"):
            defaults += 1
            continue
        yield _check_setting(settings, each.name, source)
    yield _check_config_file(settings.config_path)
    yield _check_prices(settings)
    yield Check("settings", "others", "ok", f"{defaults} settings have their defaults")
    if not settings.enabled:
        yield Check(
            "settings", "switched off", "warning", "nothing is sent", "set POSTHOG_ENABLED=true to send"
        )


def _check_setting(settings: Settings, name: str, source: str) -> Check:
    """Say what a setting is and where it comes from."""
    if source == "flag":
        where = f"--{name.replace('_', '-')}"
    else:
        where = re.sub(r"^environment\b", f"POSTHOG_{name.upper()}", source)
    label = "API key" if name == "api_key" else name.replace("_", " ")
    data = {"source": encodable(Path(source))}
    if name != "api_key":
        value = getattr(settings, name)
        listed = [f"{k}:{v}" for k, v in value.items()] if isinstance(value, Mapping) else value
        shown = ", ".join(listed) if isinstance(listed, list | tuple) else str(value)
        return Check("settings", label, "ok", f"{shown} ({where})", data=data)
    if settings.api_key is None:
        advice = "set POSTHOG_API_KEY, or apiKey in posthog.json: Settings > Project > General in PostHog"
        return Check("settings", label, "problem", "there is none, so nothing can be sent", advice, data)
    return Check("settings", label, "ok", f"{mask_key(settings.api_key)} ({where})", data=data)


def _check_config_file(path: Path) -> Check:
    """Check the keys of the settings file, if there is one."""
    known = {_to_camel_case(each.name) for each in fields(Settings) if each.name not in _NO_SETTINGS}
    config = read_json_object(path)
    if config is None:
        return Check("settings", "config file", "ok", f"none at {path}")
    unknown = sorted(config.keys() - known)
    if not unknown:
        return Check("settings", "config file", "ok", f"{path}")
    named = ", ".join(name[:40] for name in unknown[:MAX_NAMED])
    found = f"{path} has keys that pi2posthog does not know: {named}"
    return Check("settings", "config file", "warning", found, "check how they are spelled")


def _check_prices(settings: Settings) -> Check:
    """Say which file gives prices for calls that pi had none for, and what becomes of the others."""
    prices = settings.prices
    data = {"path": encodable(prices.path), "prices": len(prices.prices), "unpriced": settings.unpriced}
    if prices.problem:
        advice = "correct it: pi itself takes nothing from a damaged models.json"
        return Check("settings", "prices", "warning", prices.problem, advice, data)
    source = f"{format_count(len(prices.prices), 'model')} in {prices.path}"
    if not prices.found:
        source = f"none at {prices.path}" if prices.path else "none"
    plans = ", ".join((*SUBSCRIPTIONS, f"*{PLAN}*", *settings.subscription_providers))
    others = "priced by PostHog" if settings.unpriced == "posthog" else "sent with a cost of 0"
    found = f"{source}; calls without any are {others}; subscriptions: {plans}"
    return Check("settings", "prices", "ok", found, data=data)


def _to_camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def check_sessions(paths: Sequence[str | Path], origin: str | None) -> Iterator[Check]:
    """Check which session files can be read, and the versions of their format.

    Args:
        paths: session files and folders; none means the agent's own folders.
        origin: the value of ``--from``: an agent, or one more path; None means pi.

    Raises:
        UsageError: the user named a file or folder that does not exist, or no agent.
    """
    try:
        found = find_sessions(paths, origin)
    except UsageError as error:
        if paths or (origin is not None and origin not in AGENTS):
            raise
        yield check_error("sessions", "files", error)
        return
    if found.sessions:
        yield _check_files(found.sessions)
        yield from _check_formats(found.sessions)
    elif not any(skipped.serious for skipped in found.skipped):
        advice = "use the agent once, or name the folder of its sessions as PATH"
        yield Check("sessions", "files", "warning", "no session files", advice, {"files": 0})
    yield from _check_skipped(found.skipped)


def _check_files(sessions: Sequence[SessionFile]) -> Check:
    """Count the session files, and say where they are."""
    total = sum(file.size for file in sessions)
    newest_s = max(file.mtime_ns for file in sessions) / 1e9
    folder = common_folder([file.path.parent for file in sessions])
    count = format_count(len(sessions), "file")
    found = f"{count}, {format_size(total)}, in {folder}; the newest of {format_minute(newest_s)}"
    return Check("sessions", "files", "ok", found, data={"files": len(sessions), "bytes": total})


def _check_formats(sessions: Sequence[SessionFile]) -> Iterator[Check]:
    """Check the versions that the headers name; no agent records its own version in a session file."""
    for title in sorted({file.agent.title for file in sessions}):
        counts = Counter(file.version for file in sessions if file.agent.title == title)
        listed = sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or 0))
        named = ", ".join(
            f"version {version or '?'} in {format_count(count, 'file')}" for version, count in listed
        )
        unknown = [version for version, _ in listed if version is None or not 1 <= version <= NEWEST_FORMAT]
        data = {"versions": {str(version): count for version, count in listed}}
        if unknown and title == "pi":
            advice = "look for a newer pi2posthog, and check with preview that the sums are right"
            found = f"{named}; versions 1 to {NEWEST_FORMAT} are known"
            yield Check("sessions", f"{title} format", "warning", found, advice, data)
        else:
            found = f"{named}; {title}'s own version is not recorded in them"
            yield Check("sessions", f"{title} format", "ok", found, data=data)


def _check_skipped(skipped: Sequence[Skipped]) -> Iterator[Check]:
    """Name the first files that cannot be read, and count the others by reason."""
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
        listed = ", ".join(
            f"{format_count(count, 'file')}: {reason}" for reason, count in reasons.most_common(MAX_NAMED)
        )
        yield Check("sessions", "left out", "ok", listed, data={"files": sum(reasons.values())})


def check_extension() -> Iterator[Check]:
    """Check whether pi runs an extension that sends the same calls."""
    if found := find_extension():
        data = {"extension": found}
        yield Check("sessions", "extension", "warning", describe_extension(found), REMEDY, data)


def check_ledger(path: Path) -> Iterator[Check]:
    """Check whether the ledger can be read and written, what it holds, and which process writes it."""
    pid = find_holder(path)
    try:
        with Ledger.open(path, read_only=True) as ledger:
            known = ledger.describe()
            ledger.check()
            version = ledger.version()
    except UsageError as error:
        # "what is wrong: what to do" for damage, "what is wrong; what to do" for the rest
        yield check_error("ledger", "file", error, ": " if isinstance(error, DamagedLedgerError) else "; ")
        return
    except LedgerError as error:
        yield check_error("ledger", "file", error, "; ")
        return
    yield _check_ledger_file(path, known, version)
    yield _check_disk(find_target(path))
    if pid is not None:
        by = f"process {pid}" if pid else "another process"
        found = f"in use by {by}, a watcher or backfill; another one cannot start before it ends"
        yield Check("ledger", "in use", "ok", found, data={"pid": pid})
    else:
        yield Check("ledger", "in use", "ok", "no watcher or backfill is running", data={"pid": None})
    for destination in known:
        error_ms = destination.last_error_ms or 0
        if destination.last_error and error_ms > (destination.last_delivered_ms or 0):
            found = f"{destination.host}, {format_minute(error_ms / 1000)}: {destination.last_error}"
            advice = "run pi2posthog backfill to send what is left"
            yield Check("ledger", "last error", "warning", found, advice)


def _check_ledger_file(path: Path, known: Sequence[Destination], version: int) -> Check:
    """Check what the ledger holds."""
    data: dict[str, Any] = {"path": encodable(path), "exists": path.exists()}
    if not path.exists():
        return Check(
            "ledger", "file", "ok", f"{path} does not exist yet; the first delivery creates it", data=data
        )
    count = sum(destination.delivered for destination in known)
    real = find_target(path)
    size = sum(_file_size(real.with_name(real.name + suffix)) for suffix in ("", "-wal"))
    data |= {"ids": count, "bytes": size, "version": version, "destinations": len(known)}
    found = f"{path}: {count:,} events delivered, {format_size(size)}, version {version}, intact"
    return Check("ledger", "file", "ok", found, data=data)


def _check_disk(path: Path) -> Check:
    """Check whether the ledger's folder can be written, and how much room is there."""
    folder = path.parent
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
    if free < MIN_FREE_BYTES and disk.total:  # some network file systems do not tell
        advice = "make room: delivery stops when the ledger cannot be written"
        return Check("ledger", "disk", "warning", f"only {format_size(free)} free in {folder}", advice, data)
    return Check("ledger", "disk", "ok", f"{format_size(free)} free", data=data)


def _file_size(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
