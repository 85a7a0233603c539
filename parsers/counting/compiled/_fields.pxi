# The typed fields of a line: each function takes where a value begins and where the line ends, and returns where
# the value ends, or NULL for one that is not as pi documents it.

cdef enum:
    LONGEST_KEPT = 600  # bytes of an id or a name
    WHOLE_DIGITS = 15  # every number of so many is less than parsers.usage.MOST_TOKENS


cdef inline bint named(const Text *key, const char *name, Py_ssize_t size) noexcept nogil:
    return key.size == size and memcmp(key.at, name, size) == 0


cdef inline const byte *kept_end(const byte *at, const byte *end, Text *text) noexcept nogil:
    """The end of a text that is an id or a name."""
    if at >= end or at[0] != c'"':
        return NULL
    text.at = at + 1
    at = plain_end(text.at, end)
    if at == NULL:
        return NULL
    text.size = at - text.at
    return at + 1 if text.size <= LONGEST_KEPT else NULL


cdef inline const byte *kept_or_null_end(const byte *at, const byte *end, Text *text) noexcept nogil:
    if end - at >= 4 and memcmp(at, b"null", 4) == 0:
        return at + 4
    return kept_end(at, end, text)


cdef inline const byte *any_text_end(const byte *at, const byte *end, int *high) noexcept nogil:
    if at >= end or at[0] != c'"':
        return NULL
    at = text_end(at + 1, end, high)
    if at == NULL:
        return NULL
    return at + 1


cdef inline const byte *text_or_null_end(const byte *at, const byte *end, int *high) noexcept nogil:
    if end - at >= 4 and memcmp(at, b"null", 4) == 0:
        return at + 4
    return any_text_end(at, end, high)


cdef inline const byte *bool_end(const byte *at, const byte *end, bint *value) noexcept nogil:
    if at >= end or at[0] == c'n':
        return NULL
    value[0] = at[0] == c't'
    return word_end(at, end)


cdef inline const byte *whole_end(const byte *at, const byte *end, long long *value) noexcept nogil:
    """The end of a whole number that is not negative."""
    cdef Number number
    at = number_end(at, end, &number)
    if at == NULL or not number.whole or number.negative or number.count > WHOLE_DIGITS:
        return NULL
    value[0] = <long long>number.digits
    return at


cdef inline const byte *float_or_null_end(
    const byte *at, const byte *end, Text *text, Number *number
) noexcept nogil:
    """The end of a number that a float field takes, or of null, which leaves the text as it is."""
    cdef const byte *start = at
    if end - at >= 4 and memcmp(at, b"null", 4) == 0:
        return at + 4
    at = number_end(at, end, number)
    if at == NULL or (number.whole and (number.negative or number.count > WHOLE_DIGITS)):
        return NULL
    text.at, text.size = start, at - start
    return at


cdef inline const byte *next_end(const byte *at, const byte *end, bint *more) noexcept nogil:
    """Behind a comma, or behind the bracket that ends an object."""
    if at >= end:
        return NULL
    more[0] = at[0] == c','
    return at + 1 if at[0] == c',' or at[0] == c'}' else NULL


cdef inline bint number_of(const byte *at, int digits, int *value) noexcept nogil:
    cdef int i, found = 0
    for i in range(digits):
        if not c'0' <= at[i] <= c'9':
            return False
        found = found * 10 + (at[i] - c'0')
    value[0] = found
    return True


cdef bint moment(const Text *text, long long *ms) noexcept nogil:
    """The milliseconds of ``YYYY-MM-DDTHH:MM:SS.mmmZ``, from 1970 to the end of 9999 but two days."""
    cdef const byte *at = text.at
    cdef int year, month, day, hour, minute, second, rest, length
    cdef long long days
    if text.size != 24 or at[4] != c'-' or at[7] != c'-' or at[10] != c'T' or at[13] != c':':
        return False
    if at[16] != c':' or at[19] != c'.' or at[23] != c'Z':
        return False
    if not (number_of(at, 4, &year) and number_of(at + 5, 2, &month) and number_of(at + 8, 2, &day)):
        return False
    if not (number_of(at + 11, 2, &hour) and number_of(at + 14, 2, &minute)):
        return False
    if not (number_of(at + 17, 2, &second) and number_of(at + 20, 3, &rest)):
        return False
    if year < 1971 or year > 9998 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return False
    length = 30 + ((month + (month > 7)) & 1)
    if month == 2:
        length = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    if not 1 <= day <= length:
        return False
    # days since the epoch, of a year that begins in March
    if month <= 2:
        year -= 1
        month += 12
    days = 365 * <long long>year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
    ms[0] = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + rest
    return True


cdef inline const byte *own_ms_end(const byte *at, const byte *end, long long *ms) noexcept nogil:
    """The end of a message's own time, which is in ms."""
    at = whole_end(at, end, ms)
    return at if at != NULL and 0 < ms[0] <= LATEST_MS else NULL
