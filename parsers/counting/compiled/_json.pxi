# Scans JSON in a buffer. Every function takes where to begin and where the buffer ends, and returns where the value
# ends, or NULL for anything that is not JSON exactly as pi writes it. Nothing is read past the end.

cdef extern from "_text.h":
    ctypedef unsigned char byte
    const byte *text_end(const byte *at, const byte *end, int *high) noexcept nogil
    const byte *plain_end(const byte *at, const byte *end) noexcept nogil
    bint is_utf8(const byte *at, const byte *end) noexcept nogil
    int marks_in(const byte *at, int size) noexcept nogil
    bint DOUBLES_ARE_ROUNDED_ONCE

cdef enum:
    MOST_DEPTH = 60  # of values within a value: one bit each
    MOST_NUMBER = 40  # characters of a number
    MOST_KEYS = 64  # of the objects that a value is in
    MOST_DIGITS = 15  # of a number that stays as it is when it is read and written


cdef struct Text:
    const byte *at  # NULL where there is none
    Py_ssize_t size


cdef struct Number:
    unsigned long long digits
    int count  # of digits, without zeros at the front
    int exponent
    bint whole  # neither a point nor an exponent
    bint scientific
    bint negative


def valid_utf8(bytes data not None):
    """Whether some bytes are UTF-8, for tests."""
    return is_utf8(<const byte *>PyBytes_AS_STRING(data), <const byte *>PyBytes_AS_STRING(data) + len(data))


cdef inline const byte *number_end(const byte *at, const byte *end, Number *number) noexcept nogil:
    """The end of a number that a double holds without an overflow."""
    cdef const byte *start = at
    cdef int sign = 1, exponent = 0
    cdef const byte *first
    number.digits = 0
    number.count = number.exponent = 0
    number.negative = at < end and at[0] == c'-'
    number.whole, number.scientific = True, False
    if number.negative:
        at += 1
    first = at
    while at < end and c'0' <= at[0] <= c'9':
        if number.count or at[0] != c'0':
            number.count += 1
            number.digits = number.digits * 10 + (at[0] - c'0')
        at += 1
        if at - start > MOST_NUMBER:
            return NULL
    if at == first or (first[0] == c'0' and at - first > 1):
        return NULL
    if at < end and at[0] == c'.':
        number.whole = False
        at += 1
        first = at
        while at < end and c'0' <= at[0] <= c'9':
            if number.count or at[0] != c'0':
                number.count += 1
                number.digits = number.digits * 10 + (at[0] - c'0')
            number.exponent -= 1
            at += 1
            if at - start > MOST_NUMBER:
                return NULL
        if at == first:
            return NULL
    if at < end and (at[0] == c'e' or at[0] == c'E'):
        number.whole, number.scientific = False, True
        at += 1
        if at < end and (at[0] == c'-' or at[0] == c'+'):
            if at[0] == c'-':
                sign = -1
            at += 1
        first = at
        while at < end and c'0' <= at[0] <= c'9':
            exponent = exponent * 10 + (at[0] - c'0')
            at += 1
            if at - first > 2:
                return NULL
        if at == first:
            return NULL
        number.exponent += sign * exponent
    return at


cdef inline bint stays(const byte *end, const Number *number) noexcept nogil:
    """Whether msgspec writes a number, which ends there, with as many characters as it has here."""
    if number.scientific or number.count > MOST_DIGITS or (number.negative and not number.count):
        return False
    if number.whole:
        return True
    if end[-1] == c'0' and number.exponent != -1:
        return False
    return not number.count or number.count + number.exponent >= -4  # smaller ones get an exponent


cdef double double_of(const Text *text, const Number *number) except? -1.0:
    """The double that is nearest to a number."""
    cdef char digits[MOST_NUMBER + 2]
    if (
        DOUBLES_ARE_ROUNDED_ONCE
        and number.count <= 17
        and number.digits <= EXACT
        and -22 <= number.exponent <= 0
        and not number.negative
    ):
        return <double>number.digits / POWERS[-number.exponent]  # of two numbers that doubles hold exactly
    memcpy(digits, text.at, text.size)
    digits[text.size] = 0
    return PyOS_string_to_double(digits, NULL, None)


cdef unsigned long long EXACT = 2**53
cdef double POWERS[23]
for _power in range(23):
    POWERS[_power] = 10.0**_power


cdef inline const byte *word_end(const byte *at, const byte *end) noexcept nogil:
    """The end of ``true``, ``false`` or ``null``."""
    if end - at >= 4 and (memcmp(at, b"true", 4) == 0 or memcmp(at, b"null", 4) == 0):
        return at + 4
    if end - at >= 5 and memcmp(at, b"false", 5) == 0:
        return at + 5
    return NULL


cdef inline const byte *key_end(const byte *at, const byte *end, Text *key) noexcept nogil:
    """The value behind a key, which is told."""
    if at >= end or at[0] != c'"':
        return NULL
    key.at = at + 1
    at = plain_end(key.at, end)
    if at == NULL or end - at < 2 or at[1] != c':':
        return NULL
    key.size = at - key.at
    return at + 2


cdef struct Keys:
    # Hashes of the keys of the objects that a value is in: of a key that comes twice, a decoder keeps one.
    unsigned int hashes[MOST_KEYS]
    int count
    int first  # of the innermost object


cdef inline const byte *new_key_end(const byte *at, const byte *end, int *high, Keys *keys) noexcept nogil:
    """The value behind a key of any characters, which may be in its object only once."""
    cdef const byte *start = at + 1
    cdef unsigned int found = 2166136261
    cdef int i
    if at >= end or at[0] != c'"':
        return NULL
    at = text_end(start, end, high)
    if at == NULL or end - at < 2 or at[1] != c':' or keys.count == MOST_KEYS:
        return NULL
    while start < at:
        found = (found ^ start[0]) * 16777619
        start += 1
    for i in range(keys.first, keys.count):
        if keys.hashes[i] == found:
            return NULL
    keys.hashes[keys.count] = found
    keys.count += 1
    return at + 2


cdef const byte *value_end(const byte *at, const byte *end, int *high, bint measured) noexcept nogil:
    """The end of any value; of a measured one, msgspec must write as many bytes as it has here."""
    cdef unsigned long long objects = 0  # from the lowest bit: whether the innermost value is an object
    cdef int depth = 0
    cdef int first[MOST_DEPTH]  # of the keys of the values around
    cdef Number number
    cdef Keys keys
    cdef byte c
    keys.count = keys.first = 0
    while True:
        # a value begins here
        if at >= end:
            return NULL
        c = at[0]
        if c == c'"':
            at = text_end(at + 1, end, high)
            if at == NULL:
                return NULL
            at += 1
        elif c == c'{' or c == c'[':
            if depth == MOST_DEPTH:
                return NULL
            at += 1
            if at >= end:
                return NULL
            if at[0] == c + 2:  # the closing bracket is two behind the opening one
                at += 1
            else:
                first[depth] = keys.first
                depth += 1
                objects = objects << 1 | (c == c'{')
                keys.first = keys.count
                if c == c'{':
                    at = new_key_end(at, end, high, &keys)
                    if at == NULL:
                        return NULL
                continue
        elif c == c'-' or c'0' <= c <= c'9':
            at = number_end(at, end, &number)
            if at == NULL or (measured and not stays(at, &number)):
                return NULL
        else:
            at = word_end(at, end)
            if at == NULL:
                return NULL
        # a value has ended here
        while True:
            if not depth:
                return at
            if at >= end:
                return NULL
            c = at[0]
            at += 1
            if c == c',':
                if objects & 1:
                    at = new_key_end(at, end, high, &keys)
                    if at == NULL:
                        return NULL
                break
            if c != (c'}' if objects & 1 else c']'):
                return NULL
            depth -= 1
            objects >>= 1
            keys.count, keys.first = keys.first, first[depth]
