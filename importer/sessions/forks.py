"""Orders session files: a parent before its forks, so that copied calls are the parent's."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from importer.sessions.session_file import SessionFile

_SEPARATORS = re.compile(r"[/\\]")


def parents_first(sessions: Iterable[SessionFile]) -> list[SessionFile]:
    """Return the same sessions, each parent before its forks, otherwise by header time and then path.

    The order of the input does not matter. ``parent_session`` is matched by full path, then by file name,
    then by session id (alone, or in a name like ``<time>_<id>.jsonl``): the files may have been moved, or
    copied from another machine. A file name that different sessions share matches nothing. Where parents
    form a cycle, its earliest file loses its parent. Sessions without a time come last. This takes
    O(n log n).
    """
    ordered = sorted(sessions, key=_sort_key)
    if not any(session.parent_session for session in ordered):
        return ordered
    parents = _find_parents(ordered)
    _break_cycles(parents)
    children: list[list[int]] = [[] for _ in ordered]
    ready: list[int] = []
    for index, parent in enumerate(parents):
        if parent is None:
            ready.append(index)
        else:
            children[parent].append(index)
    result = []
    # An ascending list of positions is a heap already.
    while ready:
        index = heapq.heappop(ready)
        result.append(ordered[index])
        for child in children[index]:
            heapq.heappush(ready, child)
    return result


def _sort_key(session: SessionFile) -> tuple[bool, int, str]:
    return session.timestamp_ms is None, session.timestamp_ms or 0, str(session.path)


def _find_parents(ordered: Sequence[SessionFile]) -> list[int | None]:
    """Return for each session the position of its parent, if that is among them."""
    by_path: dict[str, int] = {}
    by_name: dict[str, int | None] = {}
    by_id: dict[str, int] = {}
    for index, session in enumerate(ordered):
        by_path.setdefault(_full_path(str(session.path)), index)
        by_id.setdefault(session.session_id, index)
        first = by_name.setdefault(session.path.name, index)
        if first is not None and ordered[first].session_id != session.session_id:
            by_name[session.path.name] = None
    parents: list[int | None] = []
    for index, session in enumerate(ordered):
        parent = _match_parent(session.parent_session, by_path, by_name, by_id)
        parents.append(None if parent == index else parent)
    return parents


def _match_parent(
    named: str | None,
    by_path: Mapping[str, int],
    by_name: Mapping[str, int | None],
    by_id: Mapping[str, int],
) -> int | None:
    if named is None:
        return None
    parent = by_path.get(_full_path(named))
    if parent is not None:
        return parent
    # The path may come from another system: both separators count.
    name = _SEPARATORS.split(named)[-1]
    parent = by_name.get(name)
    if parent is not None:
        return parent
    stem = name.removesuffix(".jsonl")
    for session_id in (named, stem, stem.partition("_")[2]):
        if session_id in by_id:
            return by_id[session_id]
    return None


def _full_path(path: str) -> str:
    return os.path.normcase(os.path.abspath(path))


def _break_cycles(parents: list[int | None]) -> None:
    """Take the parent from the earliest member of every cycle, in place."""
    visited_from: list[int | None] = [None] * len(parents)
    for start in range(len(parents)):
        index: int | None = start
        while index is not None and visited_from[index] is None:
            visited_from[index] = start
            index = parents[index]
        if index is None or visited_from[index] != start:
            continue
        earliest = index
        member = parents[index]
        while member is not None and member != index:
            earliest = min(earliest, member)
            member = parents[member]
        parents[earliest] = None
