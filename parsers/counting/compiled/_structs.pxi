# What is known of a line that was taken apart; texts stay where they are in the buffer.

cdef enum:
    MOST_CALLS = 32  # of one answer

cdef enum:
    ANSWER = 1
    RESULT = 2


cdef struct Decimal:
    Text text
    Number number


cdef struct Call:
    Text id
    Text name
    Py_ssize_t length  # of the arguments


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
    Text provider
    Text model
    Text response_id
    Text stop
    long long tokens[4]
    Decimal cost  # the total
    Decimal other  # a part of it, which nobody asks for
    bint billed  # whether the provider gave the total
    Py_ssize_t text  # bytes of the texts alone
    int texts
    Py_ssize_t thinking  # bytes, with a frame each
    int calls
    bint says_something
    # of a result
    Text call_id
    Text tool_name
    Text details
    Py_ssize_t escapes
    bint is_error
    # at the end, for it is not cleared for each line
    Call call[MOST_CALLS]


cdef struct Scan:
    Line *line
    Py_ssize_t longest
    int high  # not 0 where not all is ASCII
