"""Runs, session windows and the traces that are made of them.

A run is one prompt to an idle agent and all that follows until it is idle again. A window is a stretch of a
session without a long pause. A trace is a run with ``message`` grouping, a window with ``session`` grouping.

What comes without a prompt to an agent that has been quiet for 20 s (a late ``/compact``, cache warming, an
extension that wakes it) makes a trace of its own: the trace before may have been sent by then, and a trace
that was sent must not change. Sooner than that, it belongs to the run before it. After an error or an answer
that was cut off, pi may be trying again, which shows in the file only once it is done: it takes two minutes.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from parsers.records import Run, Trace

Grouping = Literal["message", "session"]

FINAL = frozenset({"stop", "length", "error", "aborted"})
IDLE = frozenset({"stop", "aborted"})  # after length and error, pi may go on by itself
SETTLE_MS = 20_000
RETRY_FACTOR = 6
ABANDONED_MS = 24 * 3_600_000


class OpenTrace(Struct, eq=False):
    """A trace, or the part of a run in one, while it is collected; most fields are those of its record.

    With ``message`` grouping, a run's only part is its trace.

    Attributes:
        run_id: the id of the run's span; empty for a session window.
        trace: the session window that a part lies in.
        last_ms: when something last happened in it.
        calls: the number of its calls.
        closed: whether no more calls go into it.
        waiting: whether a queued message waits for an answer.
        last_stop: the stop reason of its last answer.
        share_ms: the time that its calls added to its trace, in ms.
    """

    id: str
    run_id: str
    name: str
    from_prompt: bool
    input: str | None
    start_ms: int | None
    copied: bool
    session_name: str | None = None
    window: int = 1
    end_ms: int = 0
    last_ms: int = 0
    calls: int = 0
    closed: bool = False
    waiting: bool = False
    output: Any = None
    error: str | None = None
    last_stop: str | None = None
    trace: OpenTrace | None = None
    share_ms: int = 0

    def add_call(self, start_ms: int | None, end_ms: int, output: Any) -> int:
        """Add a call's times and output; returns how many ms it took longer by that."""
        self.calls += 1
        if self.start_ms is None:
            self.start_ms = start_ms if start_ms is not None else end_ms
        before_ms = max(self.start_ms, self.end_ms)
        if end_ms > self.end_ms:
            self.end_ms = end_ms
        if end_ms > self.last_ms:
            self.last_ms = end_ms
        if output is not None:
            self.output = output
        return max(self.start_ms, self.end_ms) - before_ms

    def note_stop(self, reason: str | None, error: str | None) -> None:
        """Note how its last answer ended."""
        self.waiting = False
        self.last_stop = reason
        self.error = (error or "unknown error") if reason == "error" else None

    @property
    def is_quiet(self) -> bool:
        """Whether its last call stopped for good, as far as is written, and nothing waits for an answer."""
        if self.waiting:
            return False
        return self.last_stop in FINAL or (self.last_stop is None and not self.from_prompt)

    def touch(self, ms: int) -> None:
        """Note the time of something that happened in it."""
        self.last_ms = max(self.last_ms, ms)

    def as_record(self) -> Trace:
        """Make a record of the trace as it stands."""
        return Trace(
            id=self.id,
            trace_id=self.id,
            window=self.window,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            copied=self.copied,
            name=self.name,
            session_name=self.session_name,
            from_prompt=self.from_prompt,
            input=self.input,
            output=self.output,
            is_error=self.error is not None,
            error=self.error,
        )

    def as_run_record(self) -> Run:
        """Make a record of the run as it stands."""
        trace = self.trace or self
        return Run(
            id=self.run_id,
            trace_id=self.id,
            window=trace.window,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            copied=self.copied,
            name=self.name,
            from_prompt=self.from_prompt,
            input=None if self.trace is None else self.input,
            output=None if self.trace is None else self.output,
            is_error=self.error is not None,
            error=self.error,
            share_ms=self.share_ms,
            trace_start_ms=trace.start_ms,
            trace_input=trace.input,
        )


class OpenRun(Struct, eq=False):
    """One prompt to an idle agent and what follows, or model work at an idle agent.

    Attributes:
        prompt: the text that opened it, if a prompt did.
        id: the id of its span, if a prompt opened it.
        start_ms: when the prompt was typed, in ms.
        trace: its own trace with ``message`` grouping, the latest window's with ``session`` grouping.
        part: what was collected of it in that trace.
        asked: whether the model was asked for an answer in it.
    """

    prompt: str | None
    id: str = ""
    start_ms: int | None = None
    trace: OpenTrace | None = None
    part: OpenTrace | None = None
    asked: bool = False
    last_stop: str | None = None

    @property
    def is_conversation(self) -> bool:
        """Whether it is more than model work at an idle agent, so that messages can be queued in it."""
        return self.asked or self.prompt is not None

    @property
    def is_idle(self) -> bool:
        """Whether the agent had nothing left to do after it."""
        return self.last_stop in IDLE

    def go_on(self) -> None:
        """Note that a message was queued in it: the agent will not be idle before it has answered that."""
        self.last_stop = None
        for each in (self.trace, self.part):
            if each:
                each.waiting = True

    def touch(self, ms: int) -> None:
        """Note the time of something that happened in it."""
        for each in (self.trace, self.part):
            if each:
                each.touch(ms)

    def is_over(self, ms: int) -> bool:
        """Tell whether the agent has been quiet for so long that the run may have been sent."""
        if self.part is None or self.last_stop not in FINAL:
            return False
        return ms - self.part.last_ms >= patience_ms(self.last_stop, SETTLE_MS)


class Window:
    """Counts the windows of a session: a new one begins after a pause without a call."""

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self.last_ms: int | None = None
        self.number = 1

    def is_over(self, now_ms: int) -> bool:
        """Tell whether the pause since the last call is longer than a window allows."""
        return self.last_ms is not None and now_ms - self.last_ms > self.window_ms

    def enter(self, trace: OpenTrace, edge_ms: int, end_ms: int) -> None:
        """Note a trace's next call; ``edge_ms`` tells whether it is past this window."""
        if not trace.calls:
            if self.is_over(edge_ms):
                self.number += 1
            trace.window = self.number
        self.last_ms = max(self.last_ms or 0, end_ms)


def patience_ms(last_stop: str | None, settle_ms: int) -> int:
    """Return how long a quiet agent may still go on by itself, in ms."""
    return settle_ms * RETRY_FACTOR if last_stop in FINAL - IDLE else settle_ms
