# The trace that answers are put into, and their window: read once for many lines, and written back behind them.

@cython.final
cdef class Placing:
    """Does for plain answers what :meth:`parsers.pi.traces.Traces.place` does for calls."""

    cdef object traces
    cdef bint by_session

    cdef object run, part, trace, start_ms
    cdef str trace_id, stop
    cdef long long patience  # in ms; -1 where the run is not over however long it is quiet
    cdef bint is_closed, is_copied, was_answered
    cdef long long calls, end_ms, last_ms
    cdef long long text  # bytes of what the last answer said

    cdef object window
    cdef bint window_of_copies, has_last_call
    cdef long long number, last_call_ms, window_ms

    cdef int begin(self, traces) except -1:
        """Take up the traces of a session; until :meth:`end`, nobody else may change them."""
        self.traces = traces
        self.by_session = traces.grouping == "session"
        return 0

    cdef int end(self) except -1:
        self.leave()
        self.leave_window()
        return 0

    cdef int enter(self, run) except -1:
        """Take up a run: what was collected of it in its trace."""
        if run is self.run:
            return 0
        self.leave()
        self.run, self.part, self.trace = run, run.part, run.trace
        self.was_answered = False
        self.note_stop(run.last_stop)
        part = self.part
        if part is not None:
            self.trace_id, self.start_ms = part.id, part.start_ms
            self.is_closed, self.is_copied = part.closed, part.copied
            self.calls, self.end_ms, self.last_ms = part.calls, part.end_ms, part.last_ms
        return 0

    cdef int leave(self) except -1:
        """Write back what happened in the run, and in the session window that it is a part of."""
        run, part, trace = self.run, self.part, self.trace
        self.run = self.part = self.trace = None
        if part is None:
            return 0
        if trace is not part:
            trace.last_ms = max(trace.last_ms, self.last_ms)
        if self.was_answered:
            start_ms = self.start_ms if trace is part else trace.start_ms
            before_ms = max(start_ms, trace.end_ms)
            part.share_ms += max(before_ms, self.end_ms) - before_ms
            if trace is not part:
                trace.last_stop, trace.waiting, trace.error = self.stop, False, None
                trace.calls += self.calls - part.calls
                trace.end_ms = max(trace.end_ms, self.end_ms)
                trace.output = self.text
        part.last_ms = self.last_ms
        if self.was_answered:
            run.asked = True
            run.last_stop = part.last_stop = self.stop
            part.waiting, part.error = False, None
            part.calls, part.start_ms, part.end_ms = self.calls, self.start_ms, self.end_ms
            part.output = self.text
        return 0

    cdef int note_stop(self, str stop) except -1:
        self.stop = stop
        self.patience = patience_ms(stop, SETTLE_MS) if stop in FINAL else -1
        return 0

    cdef int enter_window(self, bint copied) except -1:
        """Take up the window of the calls that were copied, or of the others."""
        if self.window is not None and self.window_of_copies == copied:
            return 0
        self.leave_window()
        window = self.window = self.traces.windows[copied]
        self.window_of_copies = copied
        self.number, self.window_ms = window.number, window.window_ms
        self.has_last_call = window.last_ms is not None
        self.last_call_ms = window.last_ms if self.has_last_call else 0
        return 0

    cdef int leave_window(self) except -1:
        if self.window is not None:
            self.window.number = self.number
            if self.has_last_call:
                self.window.last_ms = self.last_call_ms
            self.window = None
        return 0

    cdef inline bint is_window_over(self, long long ms) noexcept:
        return self.has_last_call and ms - self.last_call_ms > self.window_ms

    cdef bint place(self, run, const Line *line, bint copied) except -1:
        """Put an answer into the run and trace that go on; False, and nothing done, where none does."""
        cdef long long edge_ms = line.own_ms if line.own_ms else line.ms
        cdef list opened
        self.enter(run)
        if self.part is None or self.is_closed or self.is_copied != copied:
            return False
        self.enter_window(copied)
        if self.by_session:
            opened = self.traces.open
            # Where a window begins, Python notes its first call.
            if self.trace is not opened[len(opened) - 1] or self.is_window_over(line.ms) or not self.trace.calls:
                return False
        if self.patience >= 0 and line.ms - self.last_ms >= self.patience:
            return False
        if not self.by_session and not self.calls:
            if self.is_window_over(edge_ms):
                self.number += 1
            self.trace.window = self.number
        self.last_call_ms = max(self.last_call_ms, line.ms)
        self.has_last_call = True
        if not is_text(self.stop, &line.stop):
            self.note_stop(ascii_text(&line.stop))
        if self.start_ms is None:
            self.start_ms = line.own_ms if line.own_ms else line.ms
        self.calls += 1
        self.end_ms = max(self.end_ms, line.ms)
        self.text = line.text + (2 * (line.texts - 1) if line.texts else 0)  # with the line ends between them
        self.was_answered = True
        self.touch(line.ms)
        return True

    cdef inline void touch(self, long long ms) noexcept:
        self.last_ms = max(self.last_ms, ms)
