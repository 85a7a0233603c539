# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Packs the figures of straight lines into columns, as :class:`importer.plan.column_writer.ColumnWriter` does."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)
    bint PyUnicode_IS_ASCII(object text)

from parsers.counting.compiled._straight cimport CallFigures, CompiledFigures

from parsers.counting.rows import GENERATION as _GENERATION
from parsers.counting.rows import NO_TIME as _NO_TIME
from parsers.counting.rows import SPAN as _SPAN
from parsers.counting.rows import ROW
from parsers.identity import uuid_bytes
from importer.build.estimate import prompt_length
from importer.build.trimming import EVENT_LIMIT as _EVENT_LIMIT
from parsers.counting.lengths import json_length

cdef enum:
    ROW_SIZE = 106

if (ROW.size, ROW.format) != (ROW_SIZE, "<16s16sqqqqqqdiiiiBB"):
    raise ImportError("rows have another layout")

cdef unsigned char GENERATION = _GENERATION
cdef unsigned char SPAN = _SPAN
cdef long long NO_TIME = _NO_TIME
cdef long long EVENT_LIMIT = _EVENT_LIMIT
cdef long long MOST = 2**31 - 1
cdef object NOT_ASKED = object()  # no model, and no prompt


cdef inline unsigned char *put(unsigned char *to, unsigned long long number, int size) noexcept nogil:
    """A number as ``size`` bytes, the lowest first."""
    cdef int i
    for i in range(size):
        to[i] = <unsigned char>(number >> (8 * i))
    return to + size


cdef long long length_of(str text) except -1:
    """As parsers.counting.lengths.json_length."""
    cdef const unsigned char *at
    cdef Py_ssize_t i, size, marks = 0
    if not PyUnicode_IS_ASCII(text):
        return json_length(text)
    at, size = <const unsigned char *>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
    for i in range(size):
        marks += (at[i] == c'"') + (at[i] == c'\\') + (at[i] == c'\n')
    return size + marks


cdef inline unsigned char *room(bytearray rows, Py_ssize_t size) except NULL:
    """Where a new row goes."""
    cdef Py_ssize_t before = PyByteArray_GET_SIZE(rows)
    PyByteArray_Resize(rows, before + size)
    return <unsigned char *>PyByteArray_AS_STRING(rows) + before


cdef class Rows(CompiledFigures):
    """Takes the figures of one session from compiled code.

    Args:
        rows: where to.
        models: the places of the models; new ones are added.
        model_of: takes the model's place for each generation that asked for tools.
        estimator: tells the lengths of this session's events.
    """

    cdef bytearray rows
    cdef dict models, model_of
    cdef long long generation_base, span_base
    cdef bint private
    cdef str trace_id
    cdef object model, system
    cdef bytes trace
    cdef int model_number
    cdef long long tools, text

    def __init__(self, bytearray rows, dict models, dict model_of, estimator):
        self.rows = rows
        self.models, self.model_of = models, model_of
        self.generation_base, self.span_base = estimator.bases.generation, estimator.bases.span
        self.private = estimator.private
        self.trace_id, self.trace = "", bytes(16)
        self.model = self.system = NOT_ASKED

    cdef int take_call(
        self, const CallFigures *call, str generation_id, str trace_id, str model, prompt, system
    ) except -1:
        cdef long long size, full, turn, new
        cdef unsigned long long cost
        cdef unsigned char *to
        cdef int i
        if model is not self.model:
            name = model or "(chat)"
            number = self.models.get(name)
            if number is None:
                number = self.models[name] = len(self.models)
            self.model, self.model_number = model, number
        if generation_id:
            self.model_of[generation_id] = self.model_number
        size = self.generation_base + (0 if model is None else len(model))
        full = turn = new = size
        if not self.private:
            size += call.length
            if prompt:
                size += length_of(prompt)
            if system is not self.system:
                self.tools, self.text = prompt_length(system)
                self.system = system
            size += self.tools
            full = size + call.full + self.text
            turn = size + call.full - call.before_run
            new = size + call.full - call.before_call
            if full > EVENT_LIMIT:
                full, turn, new = EVENT_LIMIT, min(turn, EVENT_LIMIT), min(new, EVENT_LIMIT)
        to = self.row(call.own, trace_id, call.start_ms if call.has_start else NO_TIME, call.end_ms)
        for i in range(4):
            to = put(to, <unsigned long long>call.tokens[i], 8)
        memcpy(&cost, &call.cost_usd, 8)
        self.end_row(put(to, cost, 8), self.model_number, full, turn, new)
        self.kind(GENERATION, prompt is not None)
        return self.model_number

    cdef int take_span(
        self, const unsigned char *own, str trace_id, int model, str name, long long start_ms,
        long long end_ms, Py_ssize_t length
    ) except -1:
        cdef long long size = self.span_base + len(name)
        cdef unsigned char *to
        if not self.private:
            size += length
        to = self.row(own, trace_id, start_ms, end_ms)
        memset(to, 0, 40)  # no tokens and no cost
        self.end_row(to + 40, model, size, size, size)
        self.kind(SPAN, False)
        return 0

    cdef unsigned char *row(
        self, const unsigned char *own, str trace_id, long long start_ms, long long end_ms
    ) except NULL:
        """Begin a row; returns where its tokens go."""
        cdef unsigned char *to
        if trace_id is not self.trace_id:
            self.trace_id, self.trace = trace_id, uuid_bytes(trace_id)
        to = room(self.rows, ROW_SIZE)
        memcpy(to, own, 16)
        to[6] = to[6] & 0x0F | 0x50  # the version
        to[8] = to[8] & 0x3F | 0x80  # the variant
        memcpy(to + 16, PyBytes_AS_STRING(self.trace), 16)
        to = put(to + 32, <unsigned long long>start_ms, 8)
        return put(to, <unsigned long long>end_ms, 8)

    cdef int end_row(
        self, unsigned char *to, int model, long long full, long long turn, long long new
    ) except -1:
        """Write what stands behind the cost."""
        if not (-MOST <= full <= MOST and -MOST <= turn <= MOST and -MOST <= new <= MOST):
            PyByteArray_Resize(self.rows, PyByteArray_GET_SIZE(self.rows) - ROW_SIZE)
            raise OverflowError("an event of more than 2 GB")
        to = put(to, <unsigned long long>model, 4)
        to = put(to, <unsigned long long>full, 4)
        to = put(to, <unsigned long long>turn, 4)
        put(to, <unsigned long long>new, 4)
        return 0

    cdef inline void kind(self, unsigned char kind, bint prompts) noexcept:
        """Write the kind of the row."""
        cdef unsigned char *end = (
            <unsigned char *>PyByteArray_AS_STRING(self.rows) + PyByteArray_GET_SIZE(self.rows)
        )
        end[-2], end[-1] = kind, prompts
