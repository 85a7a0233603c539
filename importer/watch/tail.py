"""One session file followed as it grows: complete lines in, events out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from importer.build.event import Event
from importer.build.events import EventBuilder
from importer.build.facts import project_of, session_facts
from importer.sessions.lineage import Delegations
from importer.sessions.reading import new_session
from importer.settings import Settings
from importer.watch.calls import Calls
from parsers.agents import PI, Agent
from parsers.pi.runs import ABANDONED_MS, RETRY_FACTOR
from parsers.records import AnyRecord, Generation, Span, Trace
from parsers.times import to_ms

_HEAD = 512
_BLOCK = 1 << 20


@dataclass(slots=True)
class Activity:
    """What the live view shows of a session.

    Attributes:
        calls, tokens, cost_usd: of the model calls that were read so far, in US dollars.
        last_ms: when something was written last, in ms since the epoch.
    """

    project: str = ""
    model: str = ""
    prompt: str = ""
    tool: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    last_ms: int = 0

    def note(self, record: AnyRecord) -> None:
        """Take a record in."""
        self.last_ms = max(self.last_ms, record.end_ms)
        if isinstance(record, Generation):
            self.model = record.model or self.model
        elif isinstance(record, Span):
            self.tool = record.name


class Tail:
    """Follows one session file.

    A line counts when its newline is there. A file that shrank, was replaced or was rewritten in place is
    read again from its start: ids are derived from the calls, so that repeats nothing.

    Attributes:
        path: where the file is now; a rename changes it.
        session: what was read of it.
        offset: how many bytes were read of it.
        activity: what was written last.
        calls: the model calls that were read of it.
        settled: the records from `finish` that need no attention any more.
        used_s: when it was read last, in seconds of time.monotonic().
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
        self.calls = Calls()
        self.offset = 0
        self._inode = 0
        self._head = b""
        self._last = b""
        self._builder: EventBuilder | None = None
        self._look_ms: int | None = 0

    def read(self) -> list[AnyRecord]:
        """Read the complete lines that are new.

        Returns:
            The records that they complete.

        Raises:
            OSError: the file cannot be read, or is gone.
        """
        records: list[AnyRecord] = []
        with self.path.open("rb") as file:
            if self._was_rewritten(file):
                self._restart()
            status = os.fstat(file.fileno())
            self._inode = status.st_ino
            file.seek(self.offset)
            while block := _whole_lines(file):
                self.offset += len(block)
                for line in block[:-1].split(b"\n"):
                    records += self.session.feed(line)
                self._last = block[-64:]
                file.seek(self.offset)
            if len(self._head) < min(_HEAD, self.offset):
                file.seek(0)
                self._head = file.read(min(_HEAD, self.offset))
        self.used_s = time.monotonic()
        self._look_ms = 0
        self.activity.last_ms = max(self.activity.last_ms, status.st_mtime_ns // 1_000_000)
        for record in records:
            self.activity.note(record)
            if isinstance(record, Generation):
                self.calls.add(record)
        self._describe()
        return records

    def has_grown(self) -> bool:
        """Whether the file holds more than was read of it."""
        try:
            return self.path.stat().st_size != self.offset
        except OSError:
            return False

    def finish(self, now_ms: int, settle_ms: int) -> list[AnyRecord]:
        """The records of what has ended by now although no further line says so; see Session.finish."""
        if self._look_ms is None or now_ms < self._look_ms:
            return []
        self._look_ms = self.due_ms(now_ms, settle_ms)
        if not self.session.open_traces() - self.settled:
            return []
        records = self.session.finish(now_ms, self.activity.last_ms, settle_ms=settle_ms)
        return [record for record in records if record.id not in self.settled]

    def due_ms(self, now_ms: int, settle_ms: int) -> int | None:
        """When `finish` may have more than it has now, if nothing is written; None for never."""
        if not self.session.open_traces() - self.settled:
            return None
        pauses_ms = [settle_ms, settle_ms * RETRY_FACTOR, ABANDONED_MS]
        if self._settings.trace_grouping == "session":
            pauses_ms = [round(self._settings.session_window_minutes * 60_000)]
        times_ms = (self.activity.last_ms + pause_ms + 1 for pause_ms in pauses_ms)
        return min((ms for ms in times_ms if ms > now_ms), default=None)

    def event(self, record: AnyRecord) -> Event:
        """The event of a record of this session, the same as a backfill would build."""
        if self._builder is None:
            header = self.session.header
            assert header is not None  # noqa: S101  no record comes before the header
            self._parent = header.parent_session or header.branched_from
            facts = session_facts(
                self._settings, header.id, header.cwd, self._parent, self.path, agent=self._agent
            )
            self._builder = EventBuilder(self._settings, facts)
        totals = None
        if isinstance(record, Trace):
            totals = self.calls.sum_trace(record.trace_id)
        starter = self._delegations.find_starter(self.path, self._parent, self._agent, self.session, record)
        return self._builder.build(record, totals, starter)

    def describe(self) -> Activity:
        """Describe the session for the live view, with the totals of its calls."""
        calls, tokens, cost_usd = self.calls.sum_all()
        return replace(self.activity, calls=calls, tokens=tokens, cost_usd=cost_usd)

    @property
    def started_ms(self) -> int:
        """When the session began, in ms since the epoch; a fork begins after its parent."""
        header = self.session.header
        return to_ms(header.timestamp) or 0 if header else 0

    def warnings(self) -> list[str]:
        """What was wrong with the file so far: a line each."""
        return [f"{self.path}:{issue.line}: {issue.what}" for issue in self.session.issues.values()]

    def _describe(self) -> None:
        header = self.session.header
        if header is not None:
            self.activity.project = self._settings.project_name or project_of(header.cwd)
        self.activity.prompt = self.session.last_prompt or ""

    def _was_rewritten(self, file: BinaryIO) -> bool:
        """Whether the bytes read so far are no longer those of the file."""
        if not self.offset:
            return False
        status = os.fstat(file.fileno())
        if status.st_size < self.offset or status.st_ino != self._inode:
            return True
        if file.read(len(self._head)) != self._head:
            return True
        file.seek(self.offset - len(self._last))
        return file.read(len(self._last)) != self._last


def _whole_lines(file: BinaryIO) -> bytes:
    """The next lines of a file that are complete, about a MiB of them; nothing if there is none."""
    blocks = [file.read(_BLOCK)]
    while b"\n" not in blocks[-1]:
        blocks.append(file.read(_BLOCK))
        if not blocks[-1]:
            return b""
    block = b"".join(blocks)
    return block[: block.rfind(b"\n") + 1]
