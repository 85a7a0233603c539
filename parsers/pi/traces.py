"""Puts calls into runs and traces, and says when these are complete.

What makes a run and a trace is told in :mod:`parsers.pi.runs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parsers.identity import derive
from parsers.pi.messages import find_first_line
from parsers.pi.runs import ABANDONED_MS, SETTLE_MS, Grouping, OpenRun, OpenTrace, Window, patience_ms
from parsers.records import AnyRecord, Generation


class Traces:
    """Puts the calls of one session file into runs and traces, and says when these are complete.

    Attributes:
        open: the traces that are still collected.
        parts: with ``session`` grouping, the runs of these that are still collected, by id.
    """

    def __init__(self, grouping: Grouping, window_ms: int) -> None:
        self.grouping = grouping
        self.windows = {copied: Window(window_ms) for copied in (False, True)}
        self._latest: OpenRun | None = None
        self.open: list[OpenTrace] = []
        self.parts: dict[str, OpenTrace] = {}

    def open_run(
        self, prompt: str, trace_id: str, ms: int, *, copied: bool, session_name: str | None = None
    ) -> tuple[OpenRun, list[AnyRecord]]:
        """Begin a run at a prompt; the runs before it are complete."""
        run = self._latest = OpenRun(prompt, derive("run", trace_id), ms)
        if self.grouping == "session":
            return run, self._close_parts(copied=copied)
        complete = self.close_all(copied=copied)
        name = find_first_line(prompt)
        run.trace = run.part = OpenTrace(trace_id, run.id, name, True, prompt, ms, copied, session_name)
        self.open.append(run.trace)
        return run, complete

    def rename(self, run: OpenRun | None, session_name: str | None, ms: int, *, copied: bool) -> None:
        """Note the session's new name in a run's trace, unless that may have been sent by then."""
        trace = run.trace if run else None
        if run is None or trace is None or trace.closed or trace.copied != copied:
            return
        is_late = self.windows[trace.copied].is_over(ms) if self.grouping == "session" else run.is_over(ms)
        if not is_late:
            trace.session_name = session_name

    def place(
        self, run: OpenRun | None, call: Generation, text: Any, session_name: str | None = None
    ) -> tuple[OpenRun, list[AnyRecord]]:
        """Put a call into its run and trace; sets its trace, its window and, where it has none, its parent.

        Args:
            run: the run that goes on at the call's place in the tree.
            call: the call.
            text: what the trace keeps of its output.
            session_name: the session's name there.

        Returns:
            The call's run (a new one, where no run was going on), and what is now complete.
        """
        complete: list[AnyRecord] = []
        if self.grouping == "session":
            edge_ms = call.end_ms  # when the file shows the call, the trace may have been sent
            run = run or OpenRun(None)
            complete = self._enter_window(run, call, session_name)
        else:
            edge_ms = call.end_ms if call.start_ms is None else call.start_ms
            run = self._find_run(run, call)
            if run is None:
                complete = self.close_all(copied=call.copied)
                begun = self._begin(None, call, session_name, derive("run", call.id))
                run = self._latest = OpenRun(None, trace=begun, part=begun)
        trace, part = run.trace, run.part
        assert trace is not None  # noqa: S101  both branches above set them
        assert part is not None  # noqa: S101
        self.windows[call.copied].enter(trace, edge_ms, call.end_ms)
        call.trace_id, call.window = trace.id, trace.window
        call.parent_id = call.parent_id or part.run_id
        if call.name == "chat":
            run.asked, run.last_stop = True, call.stop_reason
        elif not run.is_conversation:
            run.last_stop = "stop"
        for each in (trace,) if part is trace else (trace, part):
            if call.name == "chat":
                each.note_stop(call.stop_reason, call.error)
            is_said = call.name == "chat" or each.last_stop is None
            grown_ms = each.add_call(call.start_ms, call.end_ms, text if is_said else None)
            if each is trace:
                part.share_ms += grown_ms
        return run, complete

    def _find_run(self, run: OpenRun | None, call: Generation) -> OpenRun | None:
        """Find the run that a call without a prompt of its own belongs to, if one goes on.

        The file shows a call when it has ended: by then the run's trace may have been sent.
        """
        if run is None or run.trace is None or run.trace.closed:
            run = self._latest  # a branch summary hangs off an earlier run, but is made after the latest
            if run is None or not run.is_idle or call.name == "chat":
                return None
        return run if _goes_on(run, call) else None

    def _enter_window(self, run: OpenRun, call: Generation, session_name: str | None) -> list[AnyRecord]:
        """Find the window that a call belongs to, and the part of its run there; returns what is complete."""
        complete: list[AnyRecord] = []
        window, before = self.windows[call.copied], run.trace
        trace = self.open[-1] if self.open else None
        if trace is None or trace.copied != call.copied or window.is_over(call.end_ms):
            complete = self.close_all(copied=call.copied)
            trace = self._begin(run.prompt, call, session_name)
        run.trace = trace
        if run.part is None or run.part.trace is not trace or not _goes_on(run, call):
            is_first = run.part is None or before is not trace
            prompt = run.prompt if is_first else None
            began, start_ms = (run.id, run.start_ms) if run.part is None and run.id else (call.id, None)
            run_id = derive("run", began, trace.id)
            part = OpenTrace(
                trace.id,
                run_id,
                find_first_line(prompt) if prompt else call.name,
                prompt is not None,
                prompt,
                start_ms,
                call.copied,
                trace=trace,
            )
            run.part = self.parts.setdefault(run_id, part)  # a damaged file may hold the same call twice
        return complete

    def close_all(self, *, copied: bool) -> list[AnyRecord]:
        """Close all traces, and return those that made a call, with their runs.

        The trace of a run whose beginning a fork copied is left to the parent's file.

        Args:
            copied: whether that which comes next was copied, too.
        """
        complete = self._close_parts(copied=copied)
        for trace in self.open:
            if trace.calls and self._can_tell(trace) and (copied or not trace.copied or trace.is_quiet):
                complete += _records_of(trace)
        _close(self.open)
        self.open.clear()
        return complete

    def _close_parts(self, *, copied: bool) -> list[AnyRecord]:
        """Close the runs of windows, and return those that made a call."""
        complete: list[AnyRecord] = [
            part.as_run_record()
            for part in self.parts.values()
            if part.calls and _is_own(part) and (copied or not part.copied or part.is_quiet)
        ]
        _close(self.parts.values())
        self.parts.clear()
        return complete

    def _can_tell(self, trace: OpenTrace) -> bool:
        """Tell whether this file holds all of a trace."""
        return self.grouping == "session" or _is_own(trace)

    def find_open_ids(self) -> set[str]:
        """Return the ids of the traces and runs that are still collected."""
        runs = {part.run_id for part in (*self.open, *self.parts.values()) if part.run_id}
        return runs | {trace.id for trace in self.open}

    def find_ended(self, now_ms: int, written_ms: int, settle_ms: int = SETTLE_MS) -> list[OpenTrace]:
        """Return the runs and traces that have ended: quiet since a final stop, or abandoned for a day."""
        if self.grouping == "message":
            return [trace for trace in self.open if _has_ended(trace, now_ms, written_ms, settle_ms)]
        over = [trace for trace in self.open if self.windows[trace.copied].is_over(now_ms)]
        parts = [
            part
            for part in self.parts.values()
            if part.calls
            and _is_own(part)
            and (part.trace in over or _has_ended(part, now_ms, written_ms, settle_ms))
        ]
        return [*parts, *over]

    def _begin(
        self, prompt: str | None, call: Generation, session_name: str | None, run_id: str = ""
    ) -> OpenTrace:
        name, own_id = find_first_line(prompt) if prompt else call.name, derive("trace", call.id)
        trace = OpenTrace(own_id, run_id, name, prompt is not None, prompt, None, call.copied, session_name)
        self.open.append(trace)
        return trace


def make_records(ended: Iterable[OpenTrace]) -> list[AnyRecord]:
    """Return the records of runs and traces that have ended, in their order; it changes nothing."""
    records: list[AnyRecord] = []
    for each in ended:
        records += _records_of(each) if each.trace is None else [each.as_run_record()]
    return records


def _records_of(trace: OpenTrace) -> list[AnyRecord]:
    """Return the record of a trace, behind that of its run if it is one run."""
    return [trace.as_run_record(), trace.as_record()] if trace.run_id else [trace.as_record()]


def _goes_on(run: OpenRun, call: Generation) -> bool:
    """Tell whether a call may still go into what was collected of a run."""
    part = run.part
    return bool(part and not part.closed and part.copied == call.copied and not run.is_over(call.end_ms))


def _is_own(part: OpenTrace) -> bool:
    """Tell whether a file holds all of a run.

    A fork lacks its parent's other branches, so it hides the run of a copied call without a prompt.
    """
    return part.from_prompt or not part.copied


def _has_ended(part: OpenTrace, now_ms: int, written_ms: int, settle_ms: int) -> bool:
    if not part.calls or not _is_own(part):
        return False
    if part.is_quiet:
        return now_ms - part.last_ms >= patience_ms(part.last_stop, settle_ms)
    return not part.copied and now_ms - max(part.last_ms, written_ms) >= ABANDONED_MS


def _close(parts: Iterable[OpenTrace]) -> None:
    for part in parts:
        part.closed = True
        part.input = part.output = None  # it was recorded, or never will be
