# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Counts the lines that sessions consist of, as :meth:`parsers.counting.session.CountingSession._straight` does.

A line is taken apart in place, and only where all of it is exactly as pi writes it; any other line is left to
:mod:`parsers.counting.session`, and nothing is changed by it. Where this was not built, all lines are.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_Contains, PyDict_SetItem
from cpython.ref cimport PyObject
from libc.string cimport memchr, memcmp, memcpy

from parsers.counting import lengths
from parsers.counting.replay import CountedTurn
from parsers.identity import NAMESPACE
from parsers.counting.lazy import JsonContent
from parsers.pi.position import Position
from parsers.pi.runs import FINAL, SETTLE_MS, patience_ms
from parsers.counting.sizes import Sizes
from parsers.times import LATEST_MS as _LATEST_MS
from parsers.pi.toolcalls import ToolCall

cdef extern from "Python.h":
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_DATA(object text)
    bint PyUnicode_IS_ASCII(object text)
    double PyOS_string_to_double(const char *s, char **endptr, object overflow_exception) except? -1.0

cdef Py_ssize_t IMAGE = lengths.IMAGE
cdef Py_ssize_t CALL_FRAME = lengths.CALL
cdef Py_ssize_t PART_FRAME = lengths.PART
cdef Py_ssize_t MESSAGE_FRAME = lengths.MESSAGE
cdef Py_ssize_t RESULT_FRAME = lengths.RESULT
cdef Py_ssize_t RESULT_ID = lengths.RESULT_ID
cdef Py_ssize_t CUT = lengths.CUT
cdef long long LATEST_MS = _LATEST_MS

include "_json.pxi"
include "_fields.pxi"
include "_content.pxi"
include "_line.pxi"
include "_recorded.pxi"
include "_trace.pxi"
include "_branch.pxi"

if (SAMPLE, NO_STATE) != (lengths.SAMPLE, lengths.NO_STATE):
    raise ImportError("built from another version")


cdef class CompiledFigures:
    """Takes figures as :class:`parsers.counting.figures.Figures` does, from compiled code only."""

    cdef int take_call(
        self, const CallFigures *call, str generation_id, str trace_id, str model, prompt, system
    ) except -1:
        raise NotImplementedError

    cdef int take_span(
        self, const unsigned char *own, str trace_id, int model, str name, long long start_ms,
        long long end_ms, Py_ssize_t length
    ) except -1:
        raise NotImplementedError


@cython.final
cdef class Straight:
    """What is known of one session between its plain lines.

    Args:
        longest: how many characters of a tool's input or output an event has.
    """

    cdef Py_ssize_t longest
    cdef Line line
    cdef Placing placing
    cdef Branch branch

    # of the session, while its lines are read
    cdef dict positions, orders
    cdef list before, unseen, turns
    cdef bint is_fork, has_copies, has_records
    cdef long long header_ms, order, lines, time_ms
    cdef str last_id  # whose position the branch stands at
    cdef object last  # the position after the last line

    def __cinit__(self, Py_ssize_t longest):
        self.longest = longest
        self.placing, self.branch = Placing(), Branch()

    def count(self, session, const byte[::1] block, Py_ssize_t start, figures):
        """Count lines for as long as they are plain.

        Args:
            session: the :class:`parsers.counting.session.CountingSession`.
            block: some whole lines of its file; the last one may have no newline.
            start: where in the block to begin.
            figures: takes the figures.

        Returns:
            Where the first line begins that was not counted; the length of the block where all were.
        """
        cdef Py_ssize_t size = block.shape[0]
        if start >= size:
            return start
        cdef const byte *base = &block[0]
        cdef const byte *end = base + size
        cdef const byte *at = base + start
        cdef const byte *line_end
        cdef bint begun = False
        try:
            while at < end:
                line_end = <const byte *>memchr(at, c'\n', end - at)
                if line_end == NULL:
                    line_end = end
                if not read_line(at, line_end, self.longest, &self.line):
                    break
                if not begun:
                    self.begin(session)
                    begun = True
                if not self.count_line(figures):
                    break
                at = line_end + 1 if line_end < end else end
        finally:
            if begun:
                self.end(session)
        return at - base

    cdef int begin(self, session) except -1:
        self.positions, self.orders = session._positions, session._orders
        self.before, self.unseen, self.turns = session._before, session._unseen, session._replay.turns
        self.is_fork, self.header_ms = session._is_fork, session._header_ms
        self.lines, self.order, self.time_ms = session._lines, session._order, session._time_ms
        self.has_copies = self.has_records = False
        self.last_id = self.last = None
        self.placing.begin(session._traces)
        return 0

    cdef int end(self, session) except -1:
        self.placing.end()
        session._lines, session._order, session._time_ms = self.lines, self.order, self.time_ms
        if self.has_copies:
            session.has_copies = True
        if self.has_records:
            session._has_records = True
        if self.last is not None:
            session._last, self.last = self.last, None
        return 0

    cdef bint count_line(self, figures) except -1:
        """Count the line that was read; False, and nothing done, where it takes a closer look."""
        cdef Line *line = &self.line
        cdef str entry_id, parent_id
        cdef PyObject *found
        cdef bint copied
        cdef object order, size_before
        if self.last_id is None or not is_text(self.last_id, &line.parent):
            parent_id = ascii_text(&line.parent)
            found = PyDict_GetItemWithError(self.positions, parent_id)
            if found == NULL:
                return False
            self.branch.stand(<object>found)
            self.last_id = parent_id
        entry_id = ascii_text(&line.id)
        if PyDict_Contains(self.positions, entry_id):
            return False
        copied = self.is_fork and line.ms < self.header_ms
        order, size_before = self.order + 1, self.branch.size
        if line.role == ANSWER:
            if not self.answer(order, copied, figures):
                return False
        elif not self.result(figures):
            return False
        self.unseen.append(entry_id)
        self.before.append(size_before)
        PyDict_SetItem(self.orders, entry_id, order)
        PyDict_SetItem(self.positions, entry_id, self.branch.at)
        self.last_id, self.last = entry_id, self.branch.at
        self.lines += 1
        self.order += 1
        self.time_ms = line.ms
        if copied:
            self.has_copies = True
        else:
            self.has_records = True
        return True

    cdef bint answer(self, order, bint copied, figures) except -1:
        """As parsers.counting.session.CountingSession._answer."""
        cdef Line *line = &self.line
        cdef Branch branch = self.branch
        cdef Placing placing = self.placing
        cdef Py_ssize_t size = MESSAGE_FRAME + line.size
        cdef str generation_id = ""
        cdef CallFigures call
        if branch.run is None or branch.has_open_calls():
            return False
        call.cost_usd = double_of(&line.cost, &line.cost_number)
        if not placing.place(branch.run, line, copied):
            return False
        if not is_text(branch.model, &line.model):
            branch.model = text_or_none(&line.model)
        generation_fingerprint(&RECORDED, line)
        if line.calls:
            generation_id = uuid_of(RECORDED.fingerprint)
        prompt = branch.run.prompt if branch.run is not branch.asked else None
        call.own = RECORDED.fingerprint
        call.start_ms, call.has_start, call.end_ms = line.own_ms, line.own_ms > 0, line.ms
        call.tokens = line.tokens
        call.length = size + line.thinking
        call.full, call.before_run, call.before_call = branch.full, branch.before_run, branch.before_call
        if isinstance(figures, CompiledFigures):
            branch.model_number = (<CompiledFigures>figures).take_call(
                &call, generation_id, placing.trace_id, branch.model, prompt, branch.system
            )
        else:
            branch.model_number = self.tell_call(figures, &call, generation_id, prompt)
        branch.begin_turn(line, generation_id, placing, order, copied, self.turns)
        branch.answered(line, size)
        return True

    cdef int tell_call(self, figures, const CallFigures *call, str generation_id, prompt) except -1:
        """Tell of an answer where the figures are not compiled."""
        return figures.call(
            PyBytes_FromStringAndSize(<const char *>call.own, 20),
            generation_id,
            self.placing.trace_id,
            self.branch.model,
            call.start_ms if call.has_start else None,
            call.end_ms,
            (call.tokens[0], call.tokens[1], call.tokens[2], call.tokens[3]),
            call.cost_usd,
            prompt,
            call.length,
            self.branch.given(),
        )

    cdef bint result(self, figures) except -1:
        """As parsers.counting.session.CountingSession._result, with parsers.counting.lengths.result_length."""
        cdef Line *line = &self.line
        cdef Branch branch = self.branch
        cdef Py_ssize_t inner, most, cut, length, size
        cdef long long start_ms, end_ms
        cdef PyObject *found
        cdef Text generation_id
        cdef str call_id, name
        if branch.turn is None or not branch.is_counted:
            return False
        call_id = ascii_text(&line.call_id)
        found = PyDict_GetItemWithError(branch.calls, call_id)
        if found == NULL or call_id not in branch.open:
            return False
        call = <object>found
        arguments, name = call.arguments, call.name or "unknown"
        if type(arguments) is not int:
            return False
        generation_id.at = <byte *>PyUnicode_DATA(branch.generation_id)
        generation_id.size = PyUnicode_GET_LENGTH(branch.generation_id)
        span_fingerprint(&RECORDED, &generation_id, &line.call_id, call.index)
        branch.open.discard(call_id)
        inner = line.size + RESULT_FRAME + line.details
        most = self.longest + CUT
        cut = min(inner, most)
        size = MESSAGE_FRAME + RESULT_ID + min(line.size, most)
        length = cut + 2 * line.marks * cut // inner + <Py_ssize_t>arguments
        if line.is_error:
            length *= 2
        end_ms = line.own_ms or line.ms
        start_ms = branch.turn.start_of_result(end_ms, line.ms)
        if isinstance(figures, CompiledFigures):
            (<CompiledFigures>figures).take_span(
                RECORDED.fingerprint, branch.turn.trace_id, branch.model_number, name, start_ms, end_ms, length
            )
        else:
            own = PyBytes_FromStringAndSize(<const char *>RECORDED.fingerprint, 20)
            figures.span(own, branch.turn.trace_id, branch.model_number, name, start_ms, end_ms, length)
        if branch.run is not None:
            self.placing.enter(branch.run)
            self.placing.touch(line.ms)
        branch.full += size
        branch.size += size
        branch.go_on(line.ms)
        return True
