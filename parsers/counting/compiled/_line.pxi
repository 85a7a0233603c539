# A line that is an answer or a result as pi documents it, taken apart in place.

cdef Line _LINE


cdef Py_ssize_t place(void *field):
    """Where a field stands in a Line."""
    return <byte *>field - <byte *>&_LINE


cdef Fields LINE_FIELDS, ANSWER_FIELDS, RESULT_FIELDS, USAGE_FIELDS, COST_FIELDS
fill(&LINE_FIELDS, [
    ("id", NAME, place(&_LINE.id)),
    ("parentId", NAME, place(&_LINE.parent)),
    ("timestamp", NAME, place(&_LINE.stamp)),
    ("message", MESSAGE, 0),
    ("type", NEVER, 0),
])
fill(&ANSWER_FIELDS, [
    ("content", CONTENT, 0),
    ("usage", USAGE, 0),
    ("stopReason", NAME, place(&_LINE.stop)),
    ("provider", NAME_OR_NULL, place(&_LINE.provider)),
    ("model", NAME_OR_NULL, place(&_LINE.model)),
    ("timestamp", MOMENT, place(&_LINE.own_ms)),
    ("responseId", NAME_OR_NULL, place(&_LINE.response_id)),
    ("responseModel", WORDS_OR_NULL, 0),
    ("thinkingLevel", WORDS_OR_NULL, 0),
    ("providerThinkingLevel", WORDS_OR_NULL, 0),
    ("rawStopReason", WORDS_OR_NULL, 0),
    ("durationMs", AMOUNT_OR_NULL, 0),
    ("errorMessage", NEVER, 0),
    ("role", NEVER, 0),
])
fill(&RESULT_FIELDS, [
    ("content", CONTENT, 0),
    ("toolCallId", NAME, place(&_LINE.call_id)),
    ("toolName", WORDS, place(&_LINE.tool_name)),
    ("details", MEASURED, place(&_LINE.details)),
    ("isError", FLAG, place(&_LINE.is_error)),
    ("timestamp", MOMENT, place(&_LINE.own_ms)),
    ("durationMs", AMOUNT_OR_NULL, 0),
    ("usage", NEVER, 0),
    ("nestedCalls", NEVER, 0),
    ("role", NEVER, 0),
])
fill(&USAGE_FIELDS, [
    ("cost", COST, 0),
    ("input", WHOLE, place(&_LINE.tokens[0])),
    ("output", WHOLE, place(&_LINE.tokens[1])),
    ("cacheRead", WHOLE, place(&_LINE.tokens[2])),
    ("cacheWrite", WHOLE, place(&_LINE.tokens[3])),
    ("totalTokens", AMOUNT_OR_NULL, 0),
    ("reasoning", AMOUNT_OR_NULL, 0),
    ("reasoningTokens", AMOUNT_OR_NULL, 0),
    ("cacheWrite1h", AMOUNT_OR_NULL, 0),
])
fill(&COST_FIELDS, [
    ("total", AMOUNT, place(&_LINE.cost)),
    ("input", AMOUNT, place(&_LINE.other)),
    ("output", AMOUNT, place(&_LINE.other)),
    ("cacheRead", AMOUNT, place(&_LINE.other)),
    ("cacheWrite", AMOUNT, place(&_LINE.other)),
    ("totalFromProvider", FLAG, place(&_LINE.billed)),
])


cdef const byte *cost_end(const byte *at, const byte *end, Scan *scan) noexcept nogil:
    """The end of a cost; its total must be there."""
    cdef unsigned int seen
    at = object_end(at, end, &COST_FIELDS, scan, scan.line, &seen)
    return at if seen & 1 else NULL


cdef const byte *usage_end(const byte *at, const byte *end, Scan *scan) noexcept nogil:
    """The end of a usage block; its cost must be there."""
    cdef unsigned int seen
    at = object_end(at, end, &USAGE_FIELDS, scan, scan.line, &seen)
    return at if seen & 1 else NULL


cdef const byte *message_end(const byte *at, const byte *end, Scan *scan) noexcept nogil:
    """The end of a message; its role comes first, and what it must have has the first bits."""
    cdef Line *line = scan.line
    cdef unsigned int seen
    if end - at >= 20 and memcmp(at, b'{"role":"assistant",', 20) == 0:
        line.role = ANSWER
        at = members_end(at + 20, end, &ANSWER_FIELDS, scan, line, &seen)
        if seen & 7 != 7 or named(&line.stop, "error", 5) or named(&line.stop, "aborted", 7):
            return NULL  # what becomes of a failed answer, ``feed`` knows
        return at
    if end - at >= 21 and memcmp(at, b'{"role":"toolResult",', 21) == 0:
        line.role = RESULT
        at = members_end(at + 21, end, &RESULT_FIELDS, scan, line, &seen)
        return at if seen & 3 == 3 and line.call_id.size else NULL
    return NULL


cdef bint read_line(const byte *start, const byte *end, Py_ssize_t longest, Line *line) noexcept nogil:
    """Whether a line, without its newline, is an answer or a result as pi documents it; then it is told."""
    cdef Scan scan
    cdef const byte *at
    cdef unsigned int seen
    if end - start < 18 or memcmp(start, b'{"type":"message",', 18) != 0:
        return False
    memset(line, 0, sizeof(Line) - MOST_CALLS * sizeof(Call))
    scan.line, scan.longest, scan.high = line, longest, 0
    at = members_end(start + 18, end, &LINE_FIELDS, &scan, line, &seen)
    if at != end or seen & 15 != 15 or not moment(&line.stamp, &line.ms):
        return False
    return not scan.high or is_utf8(start, end)
