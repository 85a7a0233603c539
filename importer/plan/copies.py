"""Which events are a file's own, and which are copies of another file's."""

from __future__ import annotations

from collections.abc import Iterable

from parsers.counting.rows import ROW, RUN, TRACE, CountedFiles

_KIND_AT = ROW.size - 3


class OpenTraces:
    """The traces that files are still collecting.

    A fork copies the run that is under way. Its copy of that trace is left to the file that goes on with it.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        return bool(self._first)

    def add(self, trace_ids: Iterable[bytes], file: int) -> None:
        """Note the open traces (16 bytes each) of a file, by its place in the plan; call it in that order."""
        for trace_id in trace_ids:
            self._first.setdefault(trace_id, file)

    def leaves_out(self, trace_id: bytes, file: int) -> bool:
        """Tell whether a file before that one is still collecting the trace or run."""
        return self._first.get(trace_id, file) < file


def find_own_ids(counted: Iterable[CountedFiles]) -> set[bytes]:
    """Find the ids of all events that an import would send.

    It tells what :func:`importer.plan.frame.build_frame` tells, but needs no pandas: ``status`` wants no more
    than to know how many they are.

    Args:
        counted: the rows of all files, in the order of the plan.

    Returns:
        The 16 bytes of each id.
    """
    found: set[bytes] = set()
    open_traces = OpenTraces()
    place = 0
    for columns in counted:
        end = 0
        for file in columns.files:
            if file.error is not None:
                continue
            open_traces.add(file.open_traces, place)
            start, end = end, end + file.events * ROW.size
            rows = bytes(memoryview(columns.rows)[start:end])
            for at in range(0, len(rows), ROW.size):
                own = rows[at : at + 16]
                if rows[at + _KIND_AT] in (RUN, TRACE) and open_traces.leaves_out(own, place):
                    continue
                found.add(own)
            place += 1
    return found
