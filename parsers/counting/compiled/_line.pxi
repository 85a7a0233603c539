# A line that is an answer or a result as pi documents it, taken apart in place.

cdef const byte *cost_end(const byte *at, const byte *end, int *high, Line *line) noexcept nogil:
    """The end of what pi recorded as the cost."""
    cdef Text key, ignored
    cdef Number other
    cdef bint more = True
    cdef unsigned int seen = 0, bit
    if at >= end or at[0] != c'{':
        return NULL
    at += 1
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        ignored.at = NULL
        if named(&key, "total", 5):
            bit = 1
            at = float_or_null_end(at, end, &line.cost, &line.cost_number)
        elif named(&key, "input", 5):
            bit = 2
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "output", 6):
            bit = 4
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "cacheRead", 9):
            bit = 8
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "cacheWrite", 10):
            bit = 16
            at = float_or_null_end(at, end, &ignored, &other)
        else:
            bit = 0
            at = value_end(at, end, high)
        if at == NULL or seen & bit or (bit > 1 and ignored.at == NULL):
            return NULL
        seen |= bit
        at = next_end(at, end, &more)
        if at == NULL:
            return NULL
    return at if line.cost.at != NULL else NULL


cdef const byte *usage_end(
    const byte *at, const byte *end, int *high, Line *line
) noexcept nogil:
    """The end of an answer's usage; the total of its cost stays text."""
    cdef Text key, ignored
    cdef Number other
    cdef bint more = True
    cdef unsigned int seen = 0, bit
    if at >= end or at[0] != c'{':
        return NULL
    at += 1
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        if named(&key, "input", 5):
            bit = 1
            at = whole_end(at, end, &line.tokens[0])
        elif named(&key, "output", 6):
            bit = 2
            at = whole_end(at, end, &line.tokens[1])
        elif named(&key, "cacheRead", 9):
            bit = 4
            at = whole_end(at, end, &line.tokens[2])
        elif named(&key, "cacheWrite", 10):
            bit = 8
            at = whole_end(at, end, &line.tokens[3])
        elif named(&key, "cost", 4):
            bit = 16
            at = cost_end(at, end, high, line)
        elif named(&key, "totalTokens", 11):
            bit = 32
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "reasoning", 9):
            bit = 64
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "reasoningTokens", 15):
            bit = 128
            at = float_or_null_end(at, end, &ignored, &other)
        else:
            bit = 0
            at = value_end(at, end, high)
        if at == NULL or seen & bit:
            return NULL
        seen |= bit
        at = next_end(at, end, &more)
        if at == NULL:
            return NULL
    return at if line.cost.at != NULL else NULL


cdef const byte *answer_end(
    const byte *at, const byte *end, int *high, Line *line, Py_ssize_t longest
) noexcept nogil:
    """The end of an answer, from its second key on."""
    cdef Text key, ignored
    cdef Number other
    cdef bint more = True
    cdef unsigned int seen = 0, bit
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        if named(&key, "content", 7):
            bit = 1
            at = content_end(at, end, high, line, longest)
        elif named(&key, "provider", 8):
            bit = 2
            at = kept_or_null_end(at, end, &line.provider)
        elif named(&key, "model", 5):
            bit = 4
            at = kept_or_null_end(at, end, &line.model)
        elif named(&key, "usage", 5):
            bit = 8
            at = usage_end(at, end, high, line)
        elif named(&key, "stopReason", 10):
            bit = 16
            at = kept_end(at, end, &line.stop)
        elif named(&key, "timestamp", 9):
            bit = 32
            at = own_ms_end(at, end, &line.own_ms)
        elif named(&key, "responseId", 10):
            bit = 64
            at = kept_or_null_end(at, end, &line.response_id)
        elif named(&key, "responseModel", 13):
            bit = 128
            at = text_or_null_end(at, end, high)
        elif named(&key, "thinkingLevel", 13):
            bit = 256
            at = text_or_null_end(at, end, high)
        elif named(&key, "providerThinkingLevel", 21):
            bit = 512
            at = text_or_null_end(at, end, high)
        elif named(&key, "rawStopReason", 13):
            bit = 1024
            at = text_or_null_end(at, end, high)
        elif named(&key, "durationMs", 10):
            bit = 2048
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "errorMessage", 12) or named(&key, "role", 4):
            return NULL
        else:
            bit = 0
            at = value_end(at, end, high)
        if at == NULL or seen & bit:
            return NULL
        seen |= bit
        at = next_end(at, end, &more)
        if at == NULL:
            return NULL
    # content, usage and the stop reason must be there; a failed answer is looked at more closely
    if seen & 25 != 25 or named(&line.stop, "error", 5) or named(&line.stop, "aborted", 7):
        return NULL
    return at


cdef const byte *result_end(
    const byte *at, const byte *end, int *high, Line *line, Py_ssize_t longest
) noexcept nogil:
    """The end of a result, from its second key on."""
    cdef Text key, ignored
    cdef Number other
    cdef const byte *start
    cdef bint more = True
    cdef unsigned int seen = 0, bit
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        if named(&key, "toolCallId", 10):
            bit = 1
            at = kept_end(at, end, &line.call_id)
        elif named(&key, "toolName", 8):
            bit = 2
            at = any_text_end(at, end, high)
        elif named(&key, "content", 7):
            bit = 4
            at = content_end(at, end, high, line, longest)
        elif named(&key, "details", 7):
            bit = 8
            start = at
            at = value_end(at, end, high)
            line.details = at - start
        elif named(&key, "isError", 7):
            bit = 16
            at = bool_end(at, end, &line.is_error)
        elif named(&key, "timestamp", 9):
            bit = 32
            at = own_ms_end(at, end, &line.own_ms)
        elif named(&key, "durationMs", 10):
            bit = 64
            at = float_or_null_end(at, end, &ignored, &other)
        elif named(&key, "usage", 5) or named(&key, "nestedCalls", 11) or named(&key, "role", 4):
            return NULL
        else:
            bit = 0
            at = value_end(at, end, high)
        if at == NULL or seen & bit:
            return NULL
        seen |= bit
        at = next_end(at, end, &more)
        if at == NULL:
            return NULL
    return at if seen & 4 and line.call_id.size else NULL


cdef const byte *message_end(
    const byte *at, const byte *end, int *high, Line *line, Py_ssize_t longest
) noexcept nogil:
    """The end of a message; its role comes first."""
    cdef Text key, role
    cdef bint more
    if at >= end or at[0] != c'{':
        return NULL
    at = key_end(at + 1, end, &key)
    if at == NULL or not named(&key, "role", 4):
        return NULL
    at = kept_end(at, end, &role)
    if at == NULL:
        return NULL
    at = next_end(at, end, &more)
    if at == NULL or not more:
        return NULL
    if named(&role, "assistant", 9):
        line.role = ANSWER
        return answer_end(at, end, high, line, longest)
    if named(&role, "toolResult", 10):
        line.role = RESULT
        return result_end(at, end, high, line, longest)
    return NULL


cdef bint read_line(
    const byte *start, const byte *end, Py_ssize_t longest, Line *line
) noexcept nogil:
    """Whether a line, without its newline, is an answer or a result as pi documents it; then it is told."""
    cdef const byte *at = start
    cdef Text key
    cdef bint more = True
    cdef unsigned int seen = 0, bit
    cdef int high = 0
    line.id.at = line.parent.at = line.provider.at = line.model.at = NULL
    line.response_id.at = line.stop.at = line.call_id.at = line.cost.at = line.stamp.at = NULL
    line.id.size = line.call_id.size = line.stop.size = line.stamp.size = 0
    line.own_ms = line.size = line.thinking = line.escapes = line.text = 0
    line.details = 0
    line.calls = line.role = line.texts = 0
    line.says_something = line.is_error = False
    line.tokens[0] = line.tokens[1] = line.tokens[2] = line.tokens[3] = 0
    if at >= end or at[0] != c'{':
        return False
    at = key_end(at + 1, end, &key)
    if at == NULL or not named(&key, "type", 4) or end - at < 9 or memcmp(at, b'"message"', 9) != 0:
        return False
    at = next_end(at + 9, end, &more)
    while more:
        if at == NULL:
            return False
        at = key_end(at, end, &key)
        if at == NULL:
            return False
        if named(&key, "id", 2):
            bit = 1
            at = kept_end(at, end, &line.id)
        elif named(&key, "parentId", 8):
            bit = 2
            at = kept_end(at, end, &line.parent)
        elif named(&key, "timestamp", 9):
            bit = 4
            at = kept_end(at, end, &line.stamp)
        elif named(&key, "message", 7):
            bit = 8
            at = message_end(at, end, &high, line, longest)
        elif named(&key, "type", 4):
            return False
        else:
            bit = 0
            at = value_end(at, end, &high)
        if at == NULL or seen & bit:
            return False
        seen |= bit
        at = next_end(at, end, &more)
    if at == NULL or seen != 15 or at != end or not moment(&line.stamp, &line.ms):
        return False
    return not high or is_utf8(start, end)
