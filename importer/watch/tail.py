"""The tail of one session file: complete lines in, records and events out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from importer.build.event import Event
from importer.build.events import EventBuilder
from importer.build.facts import make_facts, project_of
from importer.files import open_file
from importer.sessions.lineage import Delegations
from importer.sessions.reading import new_session
from importer.settings import Settings
from importer.watch.calls import Calls
from parsers.agents import PI, Agent
from parsers.pi.runs import ABANDONED_MS, RETRY_FACTOR
from parsers.records import AnyRecord, Generation, Span, Trace
from parsers.times import to_ms

_HEAD_BYTES = 512  # of a file's start are kept, to notice that it was rewritten
_LAST_BYTES = 64  # and of what was read last
_BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class Activity:
    """What the live view shows of a session.

    Attributes:
        project: the project's name.
        model: the model of the last call.
        prompt: the user's last prompt.
        tool: the tool that ran last.
        calls, tokens, cost_usd: totals of the model calls so far; the cost in US dollars.
        unpriced: how many of them have no known cost.
        last_ms: when the session last changed, in ms since the epoch.
    """

    project: str = ""
    model: str = ""
    prompt: str = ""
    tool: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    last_ms: int = 0
    unpriced: int = 0

    def update(self, record: AnyRecord) -> None:
        """Take over what a record says: its time, and its model or tool."""
        self.last_ms = max(self.last_ms, record.end_ms)
        if isinstance(record, Generation):
            self.model = record.model or self.model
        elif isinstance(record, Span):
            self.tool = record.name


class Tail:
    """Follows one session file as it grows.

    A line counts once its newline is there. A file that shrank, was replaced or was rewritten in place is
    read again from its start; that repeats no event, because ids are derived from the calls.

    Args:
        path: the file; it may not exist yet.
        settings: the same as for a backfill.
        agent: the agent that writes the file.

    Attributes:
        path: where the file is now; whoever renames it sets this.
        session: the parser, with what was read so far.
        offset: bytes read so far.
        activity: the session's last activity, without totals; see :meth:`describe`.
        calls: the model calls read so far.
        settled: ids of the traces from :meth:`finish` that are queued or delivered.
        used_s: when the file was last read, by time.monotonic().

    Example:
        >>> tail = Tail(path, Settings())
        >>> records = tail.read()  # again after each change
        >>> events = [tail.build_event(record) for record in records]
    """

    def __init__(self, path: Path, settings: Settings, agent: Agent = PI) -> None:
        self.path = path
        self.settled: set[str] = set()
        self.used_s = 0.0
        self._settings = settings
        self._agent = agent
        self._parent: str | None = None
        self._delegations = Delegations()
        self._restart()

    def _restart(self) -> None:
        self.session = new_session(self._settings, self._agent)
        self.activity = Activity()
        self.calls = Calls(self._settings)
        self.offset = 0
        self._inode = 0
        self._head = b""
        self._last = b""
        self._builder: EventBuilder | None = None
        self._look_ms: int | None = 0

    def read(self) -> list[AnyRecord]:
        """Read the complete lines that were appended since the last call.

        Returns:
            The records that these lines complete, in their order.

        Raises:
            OSError: the file cannot be read, is gone, or has become a link.
        """
        records: list[AnyRecord] = []
        with open_file(self.path, follow_links=False) as file:  # the watcher has resolved it
            if self._was_rewritten(file):
                self._restart()
            status = os.fstat(file.fileno())
            self._inode = status.st_ino
            file.seek(self.offset)
            while block := _read_lines(file):
                self.offset += len(block)
                for line in block[:-1].split(b"\n"):
                    records += self.session.feed(line)
                self._last = block[-_LAST_BYTES:]
                file.seek(self.offset)
            if len(self._head) < min(_HEAD_BYTES, self.offset):
                file.seek(0)
                self._head = file.read(min(_HEAD_BYTES, self.offset))
        self.used_s = time.monotonic()
        self._look_ms = 0
        self.activity.last_ms = max(self.activity.last_ms, status.st_mtime_ns // 1_000_000)
        for record in records:
            self.activity.update(record)
            if isinstance(record, Generation):
                self.calls.add(record)
        self._update_activity()
        return records

    def has_grown(self) -> bool:
        """Tell whether the file's size differs from what was read; False if it is gone."""
        try:
            return self.path.stat().st_size != self.offset
        except OSError:
            return False

    def finish(self, now_ms: int, settle_ms: int) -> list[AnyRecord]:
        """Finish the runs that have ended by now although no later line says so; see ``Session.finish``.

        Args:
            now_ms: the time now, in ms since the epoch.
            settle_ms: how long a run must be quiet after its final stop, in ms.

        Returns:
            The records that this completes, without those in ``settled``.
        """
        if self._look_ms is None or now_ms < self._look_ms:
            return []
        self._look_ms = self.find_due_ms(now_ms, settle_ms)
        if not self.session.open_traces() - self.settled:
            return []
        records = self.session.finish(now_ms, self.activity.last_ms, settle_ms=settle_ms)
        return [record for record in records if record.id not in self.settled]

    def find_due_ms(self, now_ms: int, settle_ms: int) -> int | None:
        """Find when :meth:`finish` may return more than now, if nothing is written until then.

        Returns:
            A time in ms since the epoch; None if no trace is open.
        """
        if not self.session.open_traces() - self.settled:
            return None
        pauses_ms = [settle_ms, settle_ms * RETRY_FACTOR, ABANDONED_MS]
        if self._settings.trace_grouping == "session":
            pauses_ms.append(round(self._settings.session_window_minutes * 60_000))
        times_ms = (self.activity.last_ms + pause_ms + 1 for pause_ms in pauses_ms)
        return min((ms for ms in times_ms if ms > now_ms), default=None)

    def build_event(self, record: AnyRecord) -> Event:
        """Build the event of a record of this session, byte for byte the one of a backfill at this moment."""
        if self._builder is None:
            header = self.session.header
            assert header is not None  # noqa: S101  every record comes after the header
            self._parent = header.parent_session or header.branched_from
            facts = make_facts(
                self._settings, header.id, header.cwd, self._parent, self.path, agent=self._agent
            )
            self._builder = EventBuilder(self._settings, facts)
        self._builder.content_since_ms = self._settings.content_since_ms(round(time.time() * 1000))
        totals = self.calls.sum_trace(record.trace_id) if isinstance(record, Trace) else None
        starter = self._delegations.find_starter(self.path, self._parent, self._agent, self.session, record)
        return self._builder.build(record, totals, starter)

    def describe(self) -> Activity:
        """Describe the session for the live view: its last activity, and the totals of its calls."""
        calls, tokens, cost_usd, unpriced = self.calls.sum_all()
        return replace(self.activity, calls=calls, tokens=tokens, cost_usd=cost_usd, unpriced=unpriced)

    @property
    def started_ms(self) -> int:
        """When the session began, in ms since the epoch: a fork after its parent; 0 if unknown."""
        header = self.session.header
        return to_ms(header.timestamp) or 0 if header else 0

    def list_warnings(self) -> list[str]:
        """List what is wrong with the file so far, as ``path:line: what``."""
        return [f"{self.path}:{issue.line}: {issue.what}" for issue in self.session.issues.values()]

    def _update_activity(self) -> None:
        header = self.session.header
        if header is not None:
            self.activity.project = self._settings.project_name or project_of(header.cwd)
        self.activity.prompt = self.session.last_prompt or ""

    def _was_rewritten(self, file: BinaryIO) -> bool:
        """Tell whether the file no longer begins with the bytes that were read."""
        if not self.offset:
            return False
        status = os.fstat(file.fileno())
        if status.st_size < self.offset or status.st_ino != self._inode:
            return True
        if file.read(len(self._head)) != self._head:
            return True
        file.seek(self.offset - len(self._last))
        return file.read(len(self._last)) != self._last


def _read_lines(file: BinaryIO) -> bytes:
    """Read the next complete lines of a file, about a MiB; nothing if there are none."""
    blocks = [file.read(_BLOCK_BYTES)]
    while b"\n" not in blocks[-1]:
        blocks.append(file.read(_BLOCK_BYTES))
        if not blocks[-1]:
            return b""
    block = b"".join(blocks)
    return block[: block.rfind(b"\n") + 1]
