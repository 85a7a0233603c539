# The fields of an object: a table says what each of them holds and where it goes.

cdef enum:
    LONGEST_KEPT = 600  # bytes of an id or a name
    WHOLE_DIGITS = 15  # every number of so many is less than parsers.usage.MOST_TOKENS
    MOST_FIELDS = 16

cdef enum Kind:
    NAME  # an id or a name in ASCII, as a Text
    NAME_OR_NULL  # the same; null leaves it as it is
    WORDS  # any text, as a Text with its quotes
    WORDS_OR_NULL  # the same, which nobody asks for
    FLAG  # a bint
    WHOLE  # a whole number that is not negative, as a long long
    MOMENT  # milliseconds since the epoch, as a long long
    AMOUNT  # a number that a float field takes, as a Decimal
    AMOUNT_OR_NULL  # the same, which nobody asks for
    MEASURED  # any value, as a Text
    CONTENT  # a list of content blocks
    USAGE
    COST
    MESSAGE
    NEVER  # a line with such a field is left to ``feed``


cdef struct Field:
    char name[24]
    int size
    int kind
    Py_ssize_t place  # in the struct that it goes to


cdef struct Fields:
    Field field[MOST_FIELDS]
    int count


cdef int fill(Fields *fields, list described) except -1:
    """Fill a table with names, kinds and places."""
    cdef bytes encoded
    for name, kind, place in described:
        encoded = name.encode()
        field = &fields.field[fields.count]
        memcpy(field.name, PyBytes_AS_STRING(encoded), len(encoded))
        field.size, field.kind, field.place = len(encoded), kind, place
        fields.count += 1
    return 0


cdef const byte *members_end(
    const byte *at, const byte *end, const Fields *fields, Scan *scan, void *into, unsigned int *seen
) noexcept nogil:
    """The end of an object, from a key on.

    Args:
        at, end: the key, and the end of the line.
        fields: the fields that are known; others hold any value.
        scan: what is known of the line.
        into: the struct that the fields go to.
        seen: gets a bit for each of them that is there.
    """
    cdef Text key
    cdef bint more = True
    cdef int i
    seen[0] = 0
    while more:
        at = key_end(at, end, &key)
        if at == NULL:
            return NULL
        for i in range(fields.count):
            if named(&key, fields.field[i].name, fields.field[i].size):
                if seen[0] >> i & 1:
                    return NULL
                seen[0] |= 1 << i
                at = field_end(at, end, fields.field[i].kind, scan, <byte *>into + fields.field[i].place)
                break
        else:
            at = value_end(at, end, &scan.high, False)
        if at == NULL or at >= end:
            return NULL
        more = at[0] == c','
        if not more and at[0] != c'}':
            return NULL
        at += 1
    return at


cdef const byte *object_end(
    const byte *at, const byte *end, const Fields *fields, Scan *scan, void *into, unsigned int *seen
) noexcept nogil:
    """The end of a whole object; see members_end."""
    if at >= end or at[0] != c'{':
        return NULL
    return members_end(at + 1, end, fields, scan, into, seen)


cdef const byte *field_end(const byte *at, const byte *end, int kind, Scan *scan, void *into) noexcept nogil:
    """The end of a field's value, which goes where its kind says; NULL for one that is not as pi documents it."""
    cdef Decimal ignored
    cdef Text *text = <Text *>into
    cdef const byte *start = at
    if kind == NAME_OR_NULL or kind == WORDS_OR_NULL or kind == AMOUNT_OR_NULL:
        if end - at >= 4 and memcmp(at, b"null", 4) == 0:
            return at + 4
    if kind == NAME or kind == NAME_OR_NULL:
        return name_end(at, end, text)
    if kind == WORDS or kind == WORDS_OR_NULL or kind == MEASURED:
        if kind != MEASURED and (at >= end or at[0] != c'"'):
            return NULL
        at = value_end(at, end, &scan.high, True)
        if at != NULL and kind != WORDS_OR_NULL:
            text.at, text.size = start, at - start
        return at
    if kind == AMOUNT:
        return amount_end(at, end, <Decimal *>into)
    if kind == AMOUNT_OR_NULL:
        return amount_end(at, end, &ignored)
    if kind == WHOLE:
        return whole_end(at, end, <long long *>into)
    if kind == MOMENT:
        at = whole_end(at, end, <long long *>into)
        return at if at != NULL and 0 < (<long long *>into)[0] <= LATEST_MS else NULL
    if kind == FLAG:
        (<bint *>into)[0] = at < end and at[0] == c't'
        return word_end(at, end) if at < end and at[0] != c'n' else NULL
    if kind == CONTENT:
        return content_end(at, end, scan)
    if kind == USAGE:
        return usage_end(at, end, scan)
    if kind == COST:
        return cost_end(at, end, scan)
    if kind == MESSAGE:
        return message_end(at, end, scan)
    return NULL


cdef inline bint named(const Text *key, const char *name, Py_ssize_t size) noexcept nogil:
    return key.size == size and memcmp(key.at, name, size) == 0


cdef inline const byte *name_end(const byte *at, const byte *end, Text *text) noexcept nogil:
    if at >= end or at[0] != c'"':
        return NULL
    text.at = at + 1
    at = plain_end(text.at, end)
    if at == NULL:
        return NULL
    text.size = at - text.at
    return at + 1 if text.size <= LONGEST_KEPT else NULL


cdef inline const byte *whole_end(const byte *at, const byte *end, long long *value) noexcept nogil:
    cdef Number number
    at = number_end(at, end, &number)
    if at == NULL or not number.whole or number.negative or number.count > WHOLE_DIGITS:
        return NULL
    value[0] = <long long>number.digits
    return at


cdef inline const byte *amount_end(const byte *at, const byte *end, Decimal *amount) noexcept nogil:
    cdef const byte *start = at
    at = number_end(at, end, &amount.number)
    if at == NULL or (amount.number.whole and (amount.number.negative or amount.number.count > WHOLE_DIGITS)):
        return NULL
    amount.text.at, amount.text.size = start, at - start
    return at


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
