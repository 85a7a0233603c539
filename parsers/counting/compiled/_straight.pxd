# What the compiled parts share: figures that are told without a Python object for each number.

cdef struct CallFigures:
    const unsigned char *own  # the fingerprint: 20 bytes
    long long start_ms
    bint has_start
    long long end_ms
    long long tokens[4]
    double cost_usd
    Py_ssize_t length
    long long full
    long long before_run
    long long before_call


cdef class CompiledFigures:
    cdef int take_call(
        self, const CallFigures *call, str generation_id, str trace_id, str model, prompt, system
    ) except -1
    cdef int take_span(
        self, const unsigned char *own, str trace_id, int model, str name, long long start_ms,
        long long end_ms, Py_ssize_t length
    ) except -1
