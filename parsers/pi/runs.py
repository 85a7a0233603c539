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

from parsers.identity import derive
from parsers.pi.messages import find_first_line
from parsers.records import AnyRecord, Generation, Trace

Grouping = Literal["message", "session"]

FINAL = frozenset({"stop", "length", "error", "aborted"})
IDLE = frozenset({"stop", "aborted"})  # after length and error, pi may go on by itself
SETTLE_MS = 20_000
RETRY_FACTOR = 6
ABANDONED_MS = 24 * 3_600_000


class OpenTrace(Struct, eq=False):
    """A trace that is still being collected; its fields are those of a :class:`parsers.records.Trace`.

    Attributes:
        last_ms: when something last happened in it.
        calls: the number of its calls.
        closed: whether no more calls go into it.
        waiting: whether a queued message waits for an answer.
        last_stop: the stop reason of its last answer.
    """

    id: str
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

    def add_call(self, start_ms: int | None, end_ms: int, output: Any) -> None:
        """Add a call's times and output."""
        self.calls += 1
        if self.start_ms is None:
            self.start_ms = start_ms if start_ms is not None else end_ms
        if end_ms > self.end_ms:
            self.end_ms = end_ms
        if end_ms > self.last_ms:
            self.last_ms = end_ms
        if output is not None:
            self.output = output

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


class Run(Struct, eq=False):
    """One prompt to an idle agent and what follows, or model work at an idle agent.

    Attributes:
        prompt: the text that opened it, if a prompt did.
        trace: its own trace with ``message`` grouping, the latest window's with ``session`` grouping.
        asked: whether the model was asked for an answer in it.
    """

    prompt: str | None
    trace: OpenTrace | None = None
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
        if self.trace:
            self.trace.waiting = True

    def is_over(self, ms: int) -> bool:
        """Tell whether the agent has been quiet for so long that the run's trace may have been sent."""
        if self.trace is None or self.last_stop not in FINAL:
            return False
        return ms - self.trace.last_ms >= patience_ms(self.last_stop, SETTLE_MS)


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


class Traces:
    """Puts the calls of one session file into traces and says when a trace is complete."""

    def __init__(self, grouping: Grouping, window_ms: int) -> None:
        self.grouping = grouping
        self.windows = {copied: Window(window_ms) for copied in (False, True)}
        self._latest: Run | None = None
        self.open: list[OpenTrace] = []

    def open_run(
        self, prompt: str | None, trace_id: str, ms: int, *, copied: bool, session_name: str | None = None
    ) -> tuple[Run, list[AnyRecord]]:
        """Begin a run at a prompt; with ``message`` grouping the traces before it are complete."""
        run = self._latest = Run(prompt)
        if self.grouping == "session":
            return run, []
        complete = self.close_all(copied=copied)
        run.trace = OpenTrace(trace_id, find_first_line(prompt or ""), True, prompt, ms, copied, session_name)
        self.open.append(run.trace)
        return run, complete

    def rename(self, run: Run | None, session_name: str | None, ms: int, *, copied: bool) -> None:
        """Note the session's new name in a run's trace, unless that may have been sent by then."""
        trace = run.trace if run else None
        if run is None or trace is None or trace.closed or trace.copied != copied:
            return
        is_late = self.windows[trace.copied].is_over(ms) if self.grouping == "session" else run.is_over(ms)
        if not is_late:
            trace.session_name = session_name

    def place(
        self, run: Run | None, call: Generation, text: Any, session_name: str | None = None
    ) -> tuple[Run, list[AnyRecord]]:
        """Put a call into its trace, and set its trace and window.

        Args:
            run: the run that goes on at the call's place in the tree.
            call: the call.
            text: what the trace keeps of its output.
            session_name: the session's name there.

        Returns:
            The call's run (a new one, where no run was going on), and the traces that are now complete.
        """
        window = self.windows[call.copied]
        complete: list[AnyRecord] = []
        if self.grouping == "session":
            edge_ms = call.end_ms  # when the file shows the call, the trace may have been sent
            run = run or Run(None)
            run.trace = self.open[-1] if self.open else None
            if run.trace is None or run.trace.copied != call.copied or window.is_over(edge_ms):
                complete = self.close_all(copied=call.copied)
                run.trace = self._begin(run.prompt, call, session_name)
        else:
            edge_ms = call.end_ms if call.start_ms is None else call.start_ms
            run = self._find_run(run, call)
            if run is None:
                complete = self.close_all(copied=call.copied)
                run = self._latest = Run(None, self._begin(None, call, session_name))
        trace = run.trace
        assert trace is not None  # noqa: S101  both branches above set it
        window.enter(trace, edge_ms, call.end_ms)
        call.trace_id, call.window = trace.id, trace.window
        if call.name == "chat":
            run.asked, run.last_stop = True, call.stop_reason
            trace.note_stop(call.stop_reason, call.error)
        elif not run.is_conversation:
            run.last_stop = "stop"
        is_said = call.name == "chat" or trace.last_stop is None
        trace.add_call(call.start_ms, call.end_ms, text if is_said else None)
        return run, complete

    def _find_run(self, run: Run | None, call: Generation) -> Run | None:
        """Find the run that a call without a prompt of its own belongs to, if one goes on.

        The file shows a call when it has ended: by then the run's trace may have been sent.
        """
        if run is None or run.trace is None or run.trace.closed:
            run = self._latest  # a branch summary hangs off an earlier run, but is made after the latest
            if run is None or not run.is_idle or call.name == "chat":
                return None
        trace = run.trace
        goes_on = trace and not trace.closed and trace.copied == call.copied and not run.is_over(call.end_ms)
        return run if goes_on else None

    def close_all(self, *, copied: bool) -> list[AnyRecord]:
        """Close all traces, and return those that made a call.

        The trace of a run whose beginning a fork copied is left to the parent's file.

        Args:
            copied: whether that which comes next was copied, too.
        """
        complete: list[AnyRecord] = [
            trace.as_record()
            for trace in self.open
            if trace.calls and self._can_tell(trace) and (copied or not trace.copied or trace.is_quiet)
        ]
        for trace in self.open:
            trace.closed = True
            trace.input = trace.output = None  # it was recorded, or never will be
        self.open.clear()
        return complete

    def _can_tell(self, trace: OpenTrace) -> bool:
        """Tell whether this file holds all of a trace.

        A fork lacks its parent's other branches, so it hides the run of a copied call without a prompt.
        """
        return self.grouping == "session" or trace.from_prompt or not trace.copied

    def ended(self, now_ms: int, written_ms: int, settle_ms: int = SETTLE_MS) -> list[OpenTrace]:
        """Return the open traces that have ended: quiet since a final stop, or abandoned for a day."""
        return [trace for trace in self.open if self._has_ended(trace, now_ms, written_ms, settle_ms)]

    def _has_ended(self, trace: OpenTrace, now_ms: int, written_ms: int, settle_ms: int) -> bool:
        if self.grouping == "session":
            return self.windows[trace.copied].is_over(now_ms)
        if not trace.calls or not self._can_tell(trace):
            return False
        if trace.is_quiet:
            return now_ms - trace.last_ms >= patience_ms(trace.last_stop, settle_ms)
        return not trace.copied and now_ms - max(trace.last_ms, written_ms) >= ABANDONED_MS

    def _begin(self, prompt: str | None, call: Generation, session_name: str | None) -> OpenTrace:
        name, own_id = find_first_line(prompt) if prompt else call.name, derive("trace", call.id)
        trace = OpenTrace(own_id, name, prompt is not None, prompt, None, call.copied, session_name)
        self.open.append(trace)
        return trace


def patience_ms(last_stop: str | None, settle_ms: int) -> int:
    """Return how long a quiet agent may still go on by itself, in ms."""
    return settle_ms * RETRY_FACTOR if last_stop in FINAL - IDLE else settle_ms
