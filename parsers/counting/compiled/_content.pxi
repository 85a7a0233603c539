# What a message says: its blocks are measured as parsers.counting.lengths does; of the words nothing is kept.

cdef enum:
    SAMPLE = 256  # as parsers.counting.lengths.SAMPLE
    QUOTES = 2
    NULL_SIZE = 4


cdef struct Block:
    Text type
    Text text
    Text thinking
    Text id
    Text name
    Text arguments
    bint redacted


cdef Block _BLOCK
cdef Fields BLOCK_FIELDS
fill(&BLOCK_FIELDS, [
    ("type", NAME, <byte *>&_BLOCK.type - <byte *>&_BLOCK),
    ("text", WORDS, <byte *>&_BLOCK.text - <byte *>&_BLOCK),
    ("thinking", WORDS, <byte *>&_BLOCK.thinking - <byte *>&_BLOCK),
    ("id", NAME, <byte *>&_BLOCK.id - <byte *>&_BLOCK),
    ("name", NAME, <byte *>&_BLOCK.name - <byte *>&_BLOCK),
    ("arguments", MEASURED, <byte *>&_BLOCK.arguments - <byte *>&_BLOCK),
    ("redacted", FLAG, <byte *>&_BLOCK.redacted - <byte *>&_BLOCK),
])


cdef inline Py_ssize_t escapes_in(const byte *at, Py_ssize_t size) noexcept nogil:
    """As parsers.counting.lengths.escapes_in."""
    cdef Py_ssize_t sample = min(size, SAMPLE)
    return marks_in(at, <int>sample) * size // sample


cdef inline Py_ssize_t state_size(const Text *value, Py_ssize_t longest) noexcept nogil:
    """As parsers.counting.lengths.state_size."""
    if value.at == NULL:
        return NULL_SIZE
    return min(value.size + escapes_in(value.at, value.size), 2 * longest)


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


cdef const byte *block_end(const byte *at, const byte *end, Scan *scan) noexcept nogil:
    """The end of a content block, which is counted in."""
    cdef Line *line = scan.line
    cdef Block block
    cdef Call *call
    cdef unsigned int seen
    memset(&block, 0, sizeof(Block))
    at = object_end(at, end, &BLOCK_FIELDS, scan, &block, &seen)
    if at == NULL:
        return NULL
    if line.role == RESULT:
        if not named(&block.type, "text", 4):
            line.size += IMAGE
        elif block.text.size > QUOTES:
            line.size += block.text.size - QUOTES
            line.escapes += escapes_in(block.text.at, block.text.size)
    elif named(&block.type, "toolCall", 8):
        if block.text.at != NULL or block.thinking.at != NULL or not block.id.size or line.calls == MOST_CALLS:
            return NULL
        call = &line.call[line.calls]
        call.id, call.name = block.id, block.name
        call.length = state_size(&block.arguments, scan.longest)
        line.size += CALL_FRAME + block.id.size + block.name.size + call.length
        line.calls += 1
    elif named(&block.type, "text", 4) and block.text.at != NULL and block.thinking.at == NULL:
        block.text.at, block.text.size = block.text.at + 1, block.text.size - QUOTES
        line.size += PART_FRAME + block.text.size
        line.text += block.text.size
        line.texts += 1
        if not line.says_something and not says(&block.text, &line.says_something):
            return NULL
    elif named(&block.type, "thinking", 8) and block.thinking.at != NULL and block.text.at == NULL:
        line.thinking += THINKING_FRAME + block.thinking.size - QUOTES
    else:
        return NULL
    return at


cdef const byte *content_end(const byte *at, const byte *end, Scan *scan) noexcept nogil:
    """The end of a list of content blocks."""
    if end - at < 2 or at[0] != c'[':
        return NULL
    at += 1
    if at[0] == c']':
        return at + 1
    while True:
        at = block_end(at, end, scan)
        if at == NULL or at >= end:
            return NULL
        if at[0] == c']':
            return at + 1
        if at[0] != c',':
            return NULL
        at += 1
