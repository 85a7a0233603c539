# What ids are derived from, as parsers.identity.derive writes it: JSON of plain ASCII, behind the namespace.

cdef enum:
    MOST_RECORDED = 32 * 1024  # bytes: more than all that is kept of a line

cdef object sha1 = hashlib.sha1


cdef struct Recorded:
    byte bytes[MOST_RECORDED]


cdef Recorded RECORDED  # one for all sessions: nothing in it is needed for longer than a line
memcpy(RECORDED.bytes, PyBytes_AS_STRING(NAMESPACE), 16)


cdef inline str ascii_text(const Text *text):
    cdef str made = PyUnicode_New(text.size, 127)
    if text.size:  # where a name is missing, there are no bytes either
        memcpy(PyUnicode_DATA(made), text.at, text.size)
    return made


cdef inline str text_or_none(const Text *text):
    return None if text.at == NULL else ascii_text(text)


cdef inline bint is_text(str text, const Text *found):
    """Whether a text, or None, is the same as one in ASCII, or none."""
    if text is None or found.at == NULL:
        return text is None and found.at == NULL
    return (
        PyUnicode_IS_ASCII(text)
        and PyUnicode_GET_LENGTH(text) == found.size
        and memcmp(PyUnicode_DATA(text), found.at, found.size) == 0
    )


cdef inline byte *put(byte *to, const void *what, Py_ssize_t size) noexcept nogil:
    memcpy(to, what, size)
    return to + size


cdef inline byte *put_text(byte *to, const Text *text) noexcept nogil:
    if text.at == NULL:
        return put(to, b",null", 5)
    to = put(to, b',"', 2)
    to = put(to, text.at, text.size)
    to[0] = c'"'
    return to + 1


cdef inline byte *put_number(byte *to, long long number) noexcept nogil:
    """A number that is not negative."""
    cdef byte digits[20]
    cdef int count = 0
    to[0] = c','
    to += 1
    while True:
        digits[count] = <byte>(c'0' + number % 10)
        count += 1
        number //= 10
        if not number:
            break
    while count:
        count -= 1
        to[0] = digits[count]
        to += 1
    return to


cdef inline bytes digest_of(const Recorded *recorded, byte *end):
    end[0] = c']'
    recorded_bytes = PyBytes_FromStringAndSize(<const char *>recorded.bytes, end + 1 - recorded.bytes)
    return sha1(recorded_bytes, usedforsecurity=False).digest()


cdef bytes generation_fingerprint(Recorded *recorded, const Line *line):
    """What parsers.pi.generations.make_generation_id derives an id from, as its SHA-1."""
    cdef byte *to = put(recorded.bytes + 16, b'["generation"', 13)
    cdef int i
    to = put_text(to, &line.provider)
    to = put_text(to, &line.model)
    to = put_text(to, &line.response_id)
    to = put_number(to, line.own_ms) if line.own_ms else put(to, b",null", 5)
    to = put_number(to, line.ms)
    for i in range(4):
        to = put_number(to, line.tokens[i])
    to = put_text(to, &line.stop)
    to = put(to, b",null", 5)  # the error message
    for i in range(line.calls):
        to = put_text(to, &line.call[i].id)
    return digest_of(recorded, to)


cdef bytes span_fingerprint(
    Recorded *recorded, const Text *generation_id, const Text *call_id, long long index
):
    """What parsers.pi.toolcalls.Turn.span_id derives an id from, as its SHA-1."""
    cdef byte *to = put(recorded.bytes + 16, b'["span"', 7)
    to = put_text(to, generation_id)
    to = put_text(to, call_id)
    return digest_of(recorded, put_number(to, index))


cdef str uuid_of(bytes own):
    """The text of a UUID of version 5, of its SHA-1."""
    cdef str made = PyUnicode_New(36, 127)
    cdef byte *to = <byte *>PyUnicode_DATA(made)
    cdef const byte *fingerprint = <const byte *>PyBytes_AS_STRING(own)
    cdef const char *digits = b"0123456789abcdef"
    cdef int i
    cdef byte c
    for i in range(16):
        c = fingerprint[i]
        if i == 6:
            c = (c & 0x0F) | 0x50  # the version
        elif i == 8:
            c = (c & 0x3F) | 0x80  # the variant
        if i == 4 or i == 6 or i == 8 or i == 10:
            to[0] = c'-'
            to += 1
        to[0] = digits[c >> 4]
        to[1] = digits[c & 15]
        to += 2
    return made
