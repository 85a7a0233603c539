# Where the branch stands that lines are added to: the fields of a position, and of what it refers to.

@cython.final
cdef class Branch:
    """Does for plain lines what :class:`parsers.pi.position.Position` and :class:`parsers.counting.sizes.Sizes` do."""

    cdef object at  # the position
    cdef object run, turn, asked
    cdef str provider, model, thinking_level, answered_by, session_name
    cdef object before, system
    cdef long long full, before_run, before_call, size

    cdef dict calls  # of the turn
    cdef set open
    cdef str generation_id
    cdef int model_number
    cdef bint is_counted  # whether the turn's answer was counted without a record

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
        self.is_counted = type(turn) is CountedTurn
        if turn is not None:
            self.calls, self.open, self.generation_id = turn.calls, turn.open, turn.generation_id
            self.model_number = turn.model if self.is_counted else 0
        self.at = at
        return 0

    cdef inline bint has_open_calls(self):
        return self.turn is not None and len(self.open) > 0

    cdef object given(self):
        """The sizes of what a call is given here."""
        return Sizes(self.before, self.system, self.full, self.before_run, self.before_call, self.size)

    cdef int go_on(self, long long ms) except -1:
        """Make the position that a line leaves; ``ms`` is its time."""
        self.at = Position(
            self.given(),
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

    cdef int answered(self, const Line *line, Py_ssize_t size) except -1:
        """Note an answer, whose turn and model are noted already, and how many bytes a later call is given."""
        if not is_text(self.provider, &line.provider):
            self.provider = text_or_none(&line.provider)
        self.asked = self.run
        self.size += size
        if line.calls or line.says_something:
            self.full += size
        self.before_call = self.full
        return self.go_on(line.ms)

    cdef int begin_turn(
        self, const Line *line, str generation_id, Placing placing, order, bint copied, list turns
    ) except -1:
        """Note the calls of an answer, which are open now."""
        cdef int i
        cdef str call_id
        self.turn, self.is_counted = None, False
        if not line.calls:
            return 0
        self.calls = {}
        for i in range(line.calls):
            call_id = ascii_text(&line.call[i].id)
            if call_id not in self.calls:
                self.calls[call_id] = ToolCall(call_id, ascii_text(&line.call[i].name), line.call[i].length, i)
        self.open, self.generation_id, self.is_counted = set(self.calls), generation_id, True
        self.turn = CountedTurn(
            generation_id,
            placing.trace_id,
            placing.trace.window,
            line.ms,
            copied,
            order,
            self.calls,
            False,
            self.open,
            0,
            None,
            self.model_number,
        )
        turns.append(self.turn)
        return 0
