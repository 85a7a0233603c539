# What a message says: its blocks are measured, as parsers.counting.lengths does, and nothing of them is kept but calls.

cdef enum:
    MOST_CALLS = 32  # of one answer
    SAMPLE = 256  # as parsers.counting.lengths.SAMPLE
    NO_STATE = 100  # as parsers.counting.lengths.NO_STATE
    QUOTES = 2

cdef enum:
    ANSWER = 1
    RESULT = 2


cdef struct Call:
    Text id
    Text name
    Py_ssize_t length  # of the arguments, as parsers.counting.lengths.state_size has it


cdef struct Line:
    int role
    Text id
    Text parent
    Text stamp
    long long ms
    # of both roles
    long long own_ms  # 0 where the message has none
    Py_ssize_t size  # bytes of the texts, of an answer with their frames and calls
    # of an answer
    Py_ssize_t text  # bytes of the texts alone
    int texts
    Text provider
    Text model
    Text response_id
    Text stop
    long long tokens[4]
    Text cost
    Number cost_number
    Py_ssize_t thinking  # bytes, with a frame each
    int calls
    Call call[MOST_CALLS]
    bint says_something
    # of a result
    Text call_id
    Py_ssize_t details
    Py_ssize_t escapes
    bint is_error


cdef inline Py_ssize_t escapes_in(const byte *at, Py_ssize_t size) noexcept nogil:
    """As parsers.counting.lengths.escapes_in."""
    cdef Py_ssize_t sample = size if size < SAMPLE else SAMPLE
    return marks_in(at, <int>sample) * size // sample


cdef bint says(const Text *text, bint *something) noexcept nogil:
    """Whether a text is more than blanks, as str.strip knows them; False where that takes a closer look."""
    cdef const byte *at = text.at
    cdef const byte *end = at + text.size
    while at < end:
        if at[0] == c' ':
            at += 1
        elif at[0] == c'\\' and (at[1] == c'n' or at[1] == c't' or at[1] == c'r' or at[1] == c'f'):
            at += 2
        elif at[0] == c'\\' and at[1] == c'u':
            return False
        elif at[0] == 0xC2 or (at[0] == 0xE1 and at[1] == 0x9A) or (at[0] == 0xE2 and at[1] <= 0x81):
            return False  # there are blanks that begin so
        elif at[0] == 0xE3 and at[1] == 0x80:
            return False
        else:
            something[0] = True
            return True
    return True


cdef const byte *block_end(
    const byte *at, const byte *end, int *high, Line *line, Py_ssize_t longest
) noexcept nogil:
    """The end of a content block, which is counted in."""
    cdef Text key, kind, text, thought, name, call_id
    cdef const byte *start
    cdef bint more = True, flag
    cdef unsigned int seen = 0, bit
    cdef Py_ssize_t length = NO_STATE
    kind.at = text.at = thought.at = name.at = call_id.at = NULL
    kind.size = text.size = thought.size = name.size = call_id.size = 0
    if at >= end or at[0] != c'{':
        return NULL
    at += 1
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        start = at
        if named(&key, "type", 4):
            bit = 1
            at = kept_end(at, end, &kind)
        elif named(&key, "text", 4):
            bit = 2
            at = any_text_end(at, end, high)
            if at != NULL:
                text.at, text.size = start, at - start
        elif named(&key, "thinking", 8):
            bit = 4
            at = any_text_end(at, end, high)
            if at != NULL:
                thought.at, thought.size = start, at - start
        elif named(&key, "id", 2):
            bit = 8
            at = kept_end(at, end, &call_id)
        elif named(&key, "name", 4):
            bit = 16
            at = kept_end(at, end, &name)
        elif named(&key, "arguments", 9):
            bit = 32
            at = value_end(at, end, high)
            if at != NULL and start[0] != c'n':
                length = min((at - start) + escapes_in(start, at - start), 2 * longest)
        elif named(&key, "redacted", 8):
            bit = 64
            at = bool_end(at, end, &flag)
        else:
            bit = 0
            at = value_end(at, end, high)
        if at == NULL or seen & bit:
            return NULL
        seen |= bit
        at = next_end(at, end, &more)
        if at == NULL:
            return NULL
    if line.role == RESULT:
        if not named(&kind, "text", 4):
            line.size += IMAGE
        elif text.at != NULL and text.size > QUOTES:
            line.size += text.size - QUOTES
            line.escapes += escapes_in(text.at, text.size)
    elif named(&kind, "toolCall", 8):
        if text.at != NULL or thought.at != NULL or not call_id.size or line.calls == MOST_CALLS:
            return NULL
        line.size += CALL_FRAME + call_id.size + name.size + length
        line.call[line.calls].id = call_id
        line.call[line.calls].name = name
        line.call[line.calls].length = length
        line.calls += 1
    elif named(&kind, "text", 4) and text.at != NULL and thought.at == NULL:
        text.at, text.size = text.at + 1, text.size - QUOTES
        line.size += PART_FRAME + text.size
        line.text += text.size
        line.texts += 1
        if not line.says_something and not says(&text, &line.says_something):
            return NULL
    elif named(&kind, "thinking", 8) and thought.at != NULL and text.at == NULL:
        line.thinking += PART_FRAME + thought.size - QUOTES
    else:
        return NULL
    return at


cdef const byte *content_end(
    const byte *at, const byte *end, int *high, Line *line, Py_ssize_t longest
) noexcept nogil:
    """The end of a list of content blocks."""
    if at >= end or at[0] != c'[':
        return NULL
    at += 1
    if at < end and at[0] == c']':
        return at + 1
    while True:
        at = block_end(at, end, high, line, longest)
        if at == NULL or at >= end:
            return NULL
        if at[0] == c']':
            return at + 1
        if at[0] != c',':
            return NULL
        at += 1
