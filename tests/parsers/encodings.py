"""Other ways to write the same session: what pi's migration, editors and other JSON writers do to a file."""

import json
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]


def entries_of(data: bytes) -> list[Entry]:
    """The entries of a file, header first; a torn last line is left out."""
    return [json.loads(line) for line in data.split(b"\n")[:-1] if line.strip()]


def file_of(entries: list[Entry], end: bytes = b"\n", **dumps: Any) -> bytes:
    """Entries as a file, written as pi does unless told otherwise."""
    write = (lambda entry: json.dumps(entry, **dumps).encode()) if dumps else as_pi_writes
    return b"".join(write(entry) + end for entry in entries)


def as_pi_writes(entry: Entry) -> bytes:
    """An entry as JSON without blanks; half of a surrogate pair is escaped, as JavaScript does."""
    try:
        return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(entry, separators=(",", ":")).encode()


def migrated(entries: list[Entry]) -> list[Entry]:
    """Version 1 or 2 entries as pi rewrites them in version 3: ids, a chain of parents, new names."""
    ids = [f"{index * 2654435761 % 2**32:08x}" for index in range(len(entries))]
    was_list = entries[0].get("version", 1) < 2
    found: list[Entry] = []
    for index, old in enumerate(entries):
        new = json.loads(json.dumps(old))
        if old["type"] == "session":
            new["version"] = 3
        elif was_list:
            new |= {"id": ids[index], "parentId": ids[index - 1] if index > 1 else None}
            kept = new.pop("firstKeptEntryIndex", None) if old["type"] == "compaction" else None
            if kept is not None and 0 < kept < len(entries):
                new["firstKeptEntryId"] = ids[kept]
        if new.get("message", {}).get("role") == "hookMessage":
            new["message"]["role"] = "custom"
        found.append(new)
    return found


def renamed(entries: list[Entry]) -> list[Entry]:
    """The same tree under other entry ids, in another session at another place."""
    names = {entry["id"]: f"other-{index}" for index, entry in enumerate(entries) if "id" in entry}
    found = []
    for entry in entries:
        new = dict(entry)
        for field in ("id", "parentId", "firstKeptEntryId", "targetId", "fromId"):
            if new.get(field) in names:
                new[field] = names[new[field]]
        found.append(new)
    found[0] |= {"id": "another-session", "cwd": "/elsewhere"}
    return found


def _reordered(value: Any, order: Callable[[Any], Any]) -> Any:
    """A JSON value with the keys of pi's own objects in another order.

    Tool input and output stay; so do the sections of a prompt, whose order is that of the prompt.
    """
    if isinstance(value, list):
        return [_reordered(item, order) for item in value]
    if isinstance(value, dict):
        as_is = ("arguments", "details", "sections", "toolsAdded")
        return {k: v if k in as_is else _reordered(v, order) for k, v in order(value.items())}
    return value


def _as_decimals(value: Any, name: str = "") -> Any:
    """A JSON value with pi's own whole numbers written as decimals."""
    if isinstance(value, dict):
        as_is = ("arguments", "details", "toolsAdded")
        return {k: v if k in as_is else _as_decimals(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_as_decimals(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


ENCODINGS: dict[str, Callable[[list[Entry]], bytes]] = {
    "ascii": lambda entries: file_of(entries, ensure_ascii=True),
    "utf-8": lambda entries: file_of(entries, ensure_ascii=False),
    "spaced": lambda entries: file_of(entries, separators=(", ", ": ")),
    "loose": lambda entries: file_of(entries, separators=(" ,\t", " : ")),
    "keys sorted": lambda entries: file_of([_reordered(entry, sorted) for entry in entries]),
    "keys reversed": lambda entries: file_of([_reordered(entry, reversed) for entry in entries]),
    "crlf": lambda entries: file_of(entries, end=b"\r\n"),
    "blank lines": lambda entries: file_of(entries, end=b"\n\n \t\n"),
    "decimals": lambda entries: file_of([_as_decimals(entry) for entry in entries]),
}
