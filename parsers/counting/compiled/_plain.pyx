# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Counts the lines that sessions consist of, as :meth:`parsers.pi.session.Session.feed` does; see README.md.

A line is taken apart in place, and only where all of it is exactly as pi writes it; any other line is left to
``feed``, and nothing is changed by it.
"""

import hashlib

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_Contains, PyDict_SetItem
from cpython.ref cimport PyObject
from libc.string cimport memchr, memcmp, memcpy, memset

from parsers.counting import lengths
from parsers.counting.lengths import ArgumentsSize, text_size
from parsers.counting.row_writer import prompt_sizes
from parsers.counting.rows import BASIS_CODES
from parsers.counting.rows import GENERATION as _GENERATION
from parsers.counting.rows import NO_TIME as _NO_TIME
from parsers.counting.rows import ROW
from parsers.counting.rows import SPAN as _SPAN
from parsers.counting.sizes import SizeContext
from parsers.identity import NAMESPACE, uuid_bytes
from parsers.pi.decoding import KnownMessageEntry
from parsers.pi.position import ALLOWANCE_PER_LINE as _ALLOWANCE_PER_LINE
from parsers.pi.position import Position
from parsers.pi.runs import FINAL, SETTLE_MS, patience_ms
from parsers.pi.subagents import may_start_subagents
from parsers.pi.toolcalls import ToolCall, Turn
from parsers.times import LATEST_MS as _LATEST_MS

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
cdef Py_ssize_t THINKING_FRAME = lengths.THINKING
cdef Py_ssize_t MESSAGE_FRAME = lengths.MESSAGE
cdef Py_ssize_t RESULT_FRAME = lengths.RESULT
cdef Py_ssize_t RESULT_ID = lengths.RESULT_ID
cdef Py_ssize_t CUT = lengths.CUT
cdef long long LATEST_MS = _LATEST_MS
cdef long long NO_TIME = _NO_TIME
cdef unsigned char GENERATION = _GENERATION
cdef unsigned char SPAN = _SPAN
cdef long long ALLOWANCE_PER_LINE = _ALLOWANCE_PER_LINE

include "_json.pxi"
include "_structs.pxi"
include "_fields.pxi"
include "_content.pxi"
include "_line.pxi"
include "_ids.pxi"
include "_trace.pxi"
include "_branch.pxi"
include "_rows.pxi"

if (SAMPLE, QUOTES, NULL_SIZE) != (lengths.SAMPLE, lengths.QUOTES, lengths.NULL):
    raise ImportError("built from another version")


@cython.final
cdef class PlainLines:
    """Counts the plain lines of one session.

    Args:
        session: the :class:`parsers.counting.session.CountingSession`.
        writer: writes the rows of its other lines.
        longest: how many characters of a tool's input or output an event has.
    """

    cdef object session, allowance
    cdef Py_ssize_t longest
    cdef Line line
    cdef Placing placing
    cdef Branch branch
    cdef Rows rows

    # of the session, while its lines are read
    cdef dict positions, orders
    cdef set seen
    cdef list turns
    cdef bint is_fork, has_copies, has_records
    cdef long long header_ms, order, lines, counted, time_ms
    cdef str last_id  # whose position the branch stands at
    cdef object last  # the position after the last line

    def __cinit__(self, session, writer, Py_ssize_t longest):
        self.session, self.longest = session, longest
        self.placing, self.branch, self.rows = Placing(), Branch(), Rows(writer)

    def count(self, const byte[::1] block, Py_ssize_t start):
        """Count lines for as long as they are plain.

        Args:
            block: some whole lines of the session's file; the last one may have no newline.
            start: where in the block to begin.

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
                    self.begin()
                    begun = True
                if not self.count_line():
                    break
                at = line_end + 1 if line_end < end else end
        finally:
            if begun:
                self.end()
        return at - base

    cdef int begin(self) except -1:
        session = self.session
        self.positions, self.orders, self.seen = session._positions, session._orders, session._seen
        self.turns, self.allowance = session._replay.turns, session._replay.allowance
        self.is_fork, self.header_ms = session._is_fork, session._header_ms
        self.lines, self.order, self.time_ms = session._lines, session._order, session._time_ms
        self.counted = 0
        self.has_copies = self.has_records = False
        self.last_id = self.last = None
        self.placing.begin(session._traces)
        return 0

    cdef int end(self) except -1:
        session = self.session
        self.placing.end()
        session._lines, session._order, session._time_ms = self.lines, self.order, self.time_ms
        self.allowance.left += self.counted * ALLOWANCE_PER_LINE
        if self.has_copies:
            session.has_copies = True
        if self.has_records:
            session._has_records = True
        if self.last is not None:
            session._last, self.last = self.last, None
        return 0

    cdef bint count_line(self) except -1:
        """Count the line that was read; False, and nothing done, where it takes a closer look."""
        cdef Line *line = &self.line
        cdef str entry_id, parent_id
        cdef PyObject *found
        cdef bint copied
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
        if line.role == ANSWER:
            if not self.answer(copied):
                return False
        elif not self.result():
            return False
        self.seen.add((entry_id, KnownMessageEntry, ascii_text(&line.stamp)))
        self.lines += 1
        self.counted += 1
        self.order += 1
        PyDict_SetItem(self.orders, entry_id, self.order)
        PyDict_SetItem(self.positions, entry_id, self.branch.at)
        self.last_id, self.last = entry_id, self.branch.at
        self.time_ms = line.ms
        if copied:
            self.has_copies = True
        return True

    cdef bint answer(self, bint copied) except -1:
        """As parsers.pi.replay.Replay._assistant."""
        cdef Line *line = &self.line
        cdef Branch branch = self.branch
        cdef Placing placing = self.placing
        cdef Py_ssize_t size = MESSAGE_FRAME + line.size
        cdef str generation_id = ""
        cdef bytes own
        cdef int i
        if branch.run is None or branch.has_open_calls() or not self.rows.is_known(line):
            return False
        for i in range(line.calls):
            if may_start(ascii_text(&line.call[i].name)):
                return False
        if not placing.place(branch.run, line, copied):
            return False
        branch.note_model(line)
        own = generation_fingerprint(&RECORDED, line)
        if line.calls:
            generation_id = uuid_of(own)
        prompt = branch.run.prompt if branch.run is not branch.asked else None
        branch.begin_turn(line, generation_id, placing, self.order + 1, copied, self.turns)
        self.rows.generation(
            line, own, generation_id, placing.trace_id, branch.model, prompt, branch, size + line.thinking
        )
        branch.asked = branch.run
        branch.go_on(self.order + 1, size, line.calls or line.says_something, True, line.ms)
        if not copied:
            self.has_records = True
        return True

    cdef bint result(self) except -1:
        """As parsers.pi.replay.Replay._tool_result, with parsers.counting.lengths.result_size."""
        cdef Line *line = &self.line
        cdef Branch branch = self.branch
        cdef Py_ssize_t whole, most, cut, said, size
        cdef long long end_ms = line.own_ms or line.ms
        cdef PyObject *found
        cdef Text generation_id
        cdef str call_id
        if branch.turn is None:
            return False
        call_id = ascii_text(&line.call_id)
        found = PyDict_GetItemWithError(branch.calls, call_id)
        if found == NULL or call_id not in branch.open:
            return False
        call = <object>found
        if may_start(call.name):
            return False
        generation_id.at = <byte *>PyUnicode_DATA(branch.generation_id)
        generation_id.size = PyUnicode_GET_LENGTH(branch.generation_id)
        branch.open.discard(call_id)
        most = self.longest + CUT
        whole = line.size + RESULT_FRAME + line.details.size
        cut = min(whole, most)
        said = cut + 2 * line.escapes * cut // whole
        self.rows.span(
            span_fingerprint(&RECORDED, &generation_id, &line.call_id, call.index),
            branch.turn,
            call.name or "unknown",
            branch.turn.start_of_result(end_ms, line.ms),
            end_ms,
            <long long>call.arguments.state + (2 * said if line.is_error else said),
            said if line.is_error else 0,
        )
        call.arguments = None
        if not branch.turn.copied:
            self.has_records = True
        if branch.run is not None:
            self.placing.enter(branch.run)
            self.placing.touch(line.ms)
        size = MESSAGE_FRAME + RESULT_ID + min(line.size, most)
        branch.go_on(self.order + 1, size, True, False, line.ms)
        return True


cdef dict STARTERS = {}


cdef bint may_start(str tool) except -1:
    """Whether a tool may start subagents: what is noted of those calls, ``feed`` knows."""
    cdef PyObject *found = PyDict_GetItemWithError(STARTERS, tool)
    if found == NULL:
        if len(STARTERS) >= 1000:
            STARTERS.clear()
        STARTERS[tool] = may_start_subagents(tool)
        return STARTERS[tool]
    return <object>found is True
