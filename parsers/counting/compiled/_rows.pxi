# Rows, as parsers.counting.row_writer.RowWriter writes them of records.

cdef enum:
    ROW_SIZE = 111

if (ROW.size, ROW.format) != (ROW_SIZE, "<16s16sqqqqqqdiiiiiBBB"):
    raise ImportError("rows have another layout")

cdef byte BILLED = BASIS_CODES["billed"]
cdef byte ESTIMATED = BASIS_CODES["estimated"]
cdef object NOT_ASKED = object()  # no model, and no prompt


cdef inline byte *put_bytes(byte *to, unsigned long long number, int size) noexcept nogil:
    """A number as ``size`` bytes, the lowest first."""
    cdef int i
    for i in range(size):
        to[i] = <byte>(number >> (8 * i))
    return to + size


@cython.final
cdef class Rows:
    """Writes the rows of plain lines.

    Args:
        writer: writes the rows of other lines.
    """

    cdef bytearray rows
    cdef dict models, model_of
    cdef long long generation_base, span_base, limit
    cdef long long generation_content, span_content
    cdef bint private
    cdef object pricing

    cdef str trace_id
    cdef bytes trace
    cdef object model, system
    cdef int number  # of the model
    cdef long long tools, text  # bytes of the system prompt
    cdef object provider
    cdef byte basis_of_total  # of the provider

    def __cinit__(self, writer):
        bases = writer.bases
        self.rows, self.models, self.model_of = writer.rows, writer.models, writer.model_of
        self.generation_base, self.span_base, self.limit = bases.generation, bases.span, bases.limit
        self.private, self.pricing = bases.private, writer.pricing
        self.generation_content, self.span_content = bases.generation_content, bases.span_content
        self.trace_id, self.trace = "", bytes(16)
        self.model = self.system = self.provider = NOT_ASKED

    cdef bint is_known(self, const Line *line) except -1:
        """Whether the cost of a call is pi's, or 0, so that nothing has to be computed."""
        if double_of(&line.cost.text, &line.cost.number) > 0:
            return True
        if not (line.tokens[0] or line.tokens[1] or line.tokens[2] or line.tokens[3]):
            return False  # there may be a total of tokens, which ``feed`` knows
        basis = self.pricing.basis_without_total(text_or_none(&line.provider), text_or_none(&line.model))
        return <byte>BASIS_CODES[basis] != ESTIMATED

    cdef byte basis_of(self, const Line *line, double cost_usd, provider, model) except 255:
        """As importer.build.cost.CostRules.price_call, for calls whose cost is known."""
        if cost_usd > 0:
            if line.billed:
                return BILLED
            if provider is not self.provider:
                self.basis_of_total = BASIS_CODES[self.pricing.basis_of_total(provider)]
                self.provider = provider
            return self.basis_of_total
        return BASIS_CODES[self.pricing.basis_without_total(provider, model)]

    cdef int generation(
        self, const Line *line, bytes own, str generation_id, str trace_id, str model, prompt, Branch branch,
        Py_ssize_t said,
    ) except -1:
        cdef long long size, full, turn, new, bare
        cdef unsigned long long cost
        cdef double cost_usd = double_of(&line.cost.text, &line.cost.number)
        cdef byte basis = self.basis_of(line, cost_usd, branch.provider, model)
        cdef byte *to
        cdef int i
        if model is not self.model:
            name = model or "(chat)"
            number = self.models.get(name)
            if number is None:
                number = self.models[name] = len(self.models)
            self.model, self.number = model, number
        if generation_id:
            self.model_of[generation_id] = self.number
        size = self.generation_base + (0 if model is None else len(model)) + branch.names
        if prompt and not self.private:
            size += <long long>text_size(prompt)
        full = turn = new = size
        bare = size - self.generation_content
        if not self.private:
            size += said
            if branch.system is not self.system:
                self.tools, self.text = prompt_sizes(branch.system)
                self.system = branch.system
            size += self.tools
            full = size + branch.full + self.text
            turn = size + branch.full - branch.before_run
            new = size + branch.full - branch.before_call
            if full > self.limit:
                full, turn, new = self.limit, min(turn, self.limit), min(new, self.limit)
        to = self.begin(own, trace_id, line.own_ms if line.own_ms else NO_TIME, line.ms)
        for i in range(4):
            to = put_bytes(to, <unsigned long long>line.tokens[i], 8)
        if not cost_usd > 0:
            cost_usd = 0.0
        memcpy(&cost, &cost_usd, 8)
        to = put_bytes(to, cost, 8)
        self.end(to, self.number, full, turn, new, bare, GENERATION, prompt is not None, basis)
        return 0

    cdef int span(
        self, bytes own, turn, str name, long long start_ms, long long end_ms, long long said, long long error
    ) except -1:
        cdef long long size = self.span_base + len(name)
        cdef long long bare = size - self.span_content
        cdef byte *to
        if not self.private:
            size += said
            bare += error
        to = self.begin(own, turn.trace_id, start_ms, end_ms)
        memset(to, 0, 40)  # no tokens and no cost
        self.end(to + 40, self.model_of.get(turn.generation_id, 0), size, size, size, bare, SPAN, False, 0)
        return 0

    cdef byte *begin(self, bytes own, str trace_id, long long start_ms, long long end_ms) except NULL:
        """Begin a row; returns where its tokens go."""
        cdef Py_ssize_t before = PyByteArray_GET_SIZE(self.rows)
        cdef byte *to
        if trace_id is not self.trace_id:
            self.trace_id, self.trace = trace_id, uuid_bytes(trace_id)
        PyByteArray_Resize(self.rows, before + ROW_SIZE)
        to = <byte *>PyByteArray_AS_STRING(self.rows) + before
        memcpy(to, PyBytes_AS_STRING(own), 16)
        to[6] = to[6] & 0x0F | 0x50  # the version
        to[8] = to[8] & 0x3F | 0x80  # the variant
        memcpy(to + 16, PyBytes_AS_STRING(self.trace), 16)
        to = put_bytes(to + 32, <unsigned long long>start_ms, 8)
        return put_bytes(to, <unsigned long long>end_ms, 8)

    cdef void end(
        self, byte *to, int model, long long full, long long turn, long long new, long long bare, byte kind,
        bint prompts, byte basis,
    ) noexcept:
        """Write what stands behind the cost."""
        to = put_bytes(to, <unsigned long long>model, 4)
        to = put_bytes(to, <unsigned long long>full, 4)
        to = put_bytes(to, <unsigned long long>turn, 4)
        to = put_bytes(to, <unsigned long long>new, 4)
        to = put_bytes(to, <unsigned long long>bare, 4)
        to[0], to[1], to[2] = kind, prompts, basis
