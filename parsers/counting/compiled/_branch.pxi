# Where the branch stands that lines are added to: the fields of a position, and of what it refers to.

@cython.final
cdef class Branch:
    """Holds a :class:`parsers.pi.position.Position` and its context in C; makes a new one behind each line."""

    cdef object at  # the position
    cdef object run, turn, asked
    cdef str provider, model, thinking_level, answered_by, session_name
    cdef list before
    cdef object system
    cdef long long full, before_run, before_call, size

    cdef dict calls  # of the turn
    cdef set open
    cdef str generation_id
    cdef Py_ssize_t names  # bytes of the names of the last answer's calls, with commas

    cdef int stand(self, at) except -1:
        """Take up the position that the next line hangs off."""
        if at is self.at:
            return 0
        sizes, turn = at.context, at.turn
        self.run, self.turn, self.asked = at.run, turn, at.asked
        self.provider, self.model, self.thinking_level = at.provider, at.model, at.thinking_level
        self.answered_by, self.session_name = at.answered_by, at.session_name
        self.before, self.system, self.full = sizes.before, sizes.prompt, sizes.full
        self.before_run, self.before_call, self.size = sizes.before_run, sizes.before_call, sizes.branch
        if turn is not None:
            self.calls, self.open, self.generation_id = turn.calls, turn.open, turn.generation_id
        self.at = at
        return 0

    cdef inline bint has_open_calls(self):
        return self.turn is not None and len(self.open) > 0

    cdef int go_on(self, long long order, Py_ssize_t size, bint is_sent, bint is_call, long long ms) except -1:
        """Make the position behind a message.

        Args:
            order: the place of its entry in the file.
            size: its bytes.
            is_sent: whether a later call is given it.
            is_call: whether it is an answer.
            ms: the time of its entry.
        """
        while len(self.before) <= order:
            self.before.append(self.size)
        self.size += size
        if is_sent:
            self.full += size
        if is_call:
            self.before_call = self.full
        sizes = SizeContext(self.before, self.system, self.full, self.before_run, self.before_call, self.size)
        self.at = Position(
            sizes,
            self.run,
            ms,
            self.turn,
            self.provider,
            self.model,
            self.thinking_level,
            self.answered_by,
            self.asked,
            self.session_name,
        )
        return 0

    cdef int note_model(self, const Line *line) except -1:
        """Note which model answered."""
        if self.answered_by is not None and is_text(self.model, &line.model) and is_text(self.provider, &line.provider):
            if self.answered_by == f"{self.provider}/{self.model}":
                return 0
        self.model, self.provider = text_or_none(&line.model), text_or_none(&line.provider)
        self.answered_by = f"{self.provider}/{self.model}"
        return 0

    cdef int begin_turn(
        self, const Line *line, str generation_id, Placing placing, long long order, bint copied, list turns
    ) except -1:
        """Note the calls of an answer, which are open now."""
        cdef int i
        cdef str call_id, name
        self.turn, self.names = None, 0
        if not line.calls:
            return 0
        self.calls = {}
        for i in range(line.calls):
            call_id = ascii_text(&line.call[i].id)
            if call_id not in self.calls:
                arguments, name = ArgumentsSize(line.call[i].length), ascii_text(&line.call[i].name)
                self.calls[call_id] = ToolCall(call_id, name, arguments, i)
                self.names += (1 if self.names else 0) + len(name or "unknown")
        self.open, self.generation_id = set(self.calls), generation_id
        self.turn = Turn(
            generation_id,
            placing.trace_id,
            placing.trace.window,
            line.ms,
            copied,
            order,
            self.calls,
            False,
            self.open,
        )
        turns.append(self.turn)
        return 0
