"""What a session keeps that is only counted: no message, only how many bytes of JSON it takes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from parsers.counting.lengths import (
    AnswerSize,
    ArgumentsSize,
    ResultSize,
    answer_size,
    message_size,
    result_size,
    text_size,
)
from parsers.pi import entries as e
from parsers.pi.chain import is_sent
from parsers.pi.messages import NO_PROMPT, Source, SystemPrompt, join_text
from parsers.pi.toolcalls import ToolCall

_FRAME = 150  # bytes that a summary takes besides its text


class InputSizes(Struct, frozen=True):
    """Stands for a :class:`parsers.pi.context.ModelInput`: the bytes of its messages."""

    prompt: SystemPrompt
    full: int
    turn: int
    new: int


class MessageSize(Struct, frozen=True, gc=False):
    """Stands for a message of a context.

    Attributes:
        size: its bytes.
        order: the place of its entry in the file.
        is_sent: whether pi hands it to a model.
        opens_run: whether it is a prompt that opened a run.
    """

    size: int
    order: int
    is_sent: bool = True
    opens_run: bool = False


class SizeContext(Struct, frozen=True):
    """Does for sizes what :class:`parsers.pi.context.Context` does for messages; all are bytes.

    Attributes:
        before: by the place of an entry in the file, the ``branch`` before it; shared by a session.
        prompt: the system prompt and tools in force.
        full: all messages that are sent.
        before_run: those before the prompt that opened the run.
        before_call: those that the call before was given.
        branch: all messages that were ever written on the branch.
    """

    before: list[int]
    prompt: SystemPrompt = NO_PROMPT
    full: int = 0
    before_run: int = 0
    before_call: int = 0
    branch: int = 0

    size = 0
    batch_size = 0

    def size_from(self, first_kept: int) -> int:
        """Return what a compaction costs: nothing here is written anew."""
        return 0

    def given(self) -> InputSizes:
        """Return the input of a call that is made here."""
        full = self.full
        return InputSizes(self.prompt, full, full - self.before_run, full - self.before_call)

    def given_to_compaction(self, first_kept: int) -> InputSizes:
        """Return the input of a compaction."""
        replaced = max(0, self.full - self._kept(first_kept))
        return InputSizes(self.prompt, replaced, replaced, replaced)

    def given_to_summary(self, left: SizeContext | None) -> InputSizes:
        """Return the input of the summary of a branch that was left."""
        seen = max(0, left.full - self.full) if left else 0
        return InputSizes(self.prompt, seen, seen, seen)

    def emptied(self) -> SizeContext:
        """Return the context without its messages."""
        return SizeContext(self.before, self.prompt)

    def append(self, message: MessageSize) -> SizeContext:
        """Return the context with one more message."""
        missing = message.order + 1 - len(self.before)
        if missing > 0:
            self.before.extend([self.branch] * missing)
        full, before_run = self.full, self.before_run
        if message.is_sent:
            before_run = full if message.opens_run else before_run
            full += message.size
        return SizeContext(
            self.before, self.prompt, full, before_run, self.before_call, self.branch + message.size
        )

    linked = append

    def answered(self) -> SizeContext:
        """Return the context as it is: the results that pi makes up are small."""
        return self

    def after_call(self) -> SizeContext:
        """Return the context once a call was made with it."""
        full = self.full
        return SizeContext(self.before, self.prompt, full, self.before_run, full, self.branch)

    def patched(self, message: e.SystemMessage) -> SizeContext:
        """Return the context under a changed system prompt."""
        return replace(self, prompt=self.prompt.patched(message))

    def edited(self, edit: e.ContextEdit) -> SizeContext:
        """Return the context as it is: an edit changes one message."""
        return self

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> SizeContext:
        """Return the context after a compaction: its summary, and what was kept."""
        kept = 0 if entry.retained_tail is not None else self._kept(first_kept)
        full = len(entry.summary) + _FRAME + kept
        prompt = NO_PROMPT.patched(entry.system_message) if entry.system_message else self.prompt
        since_run = self.full - self.before_run
        before_run = full - since_run if since_run <= kept else 0  # else its prompt was compacted away
        return replace(self, prompt=prompt, full=full, before_run=before_run, before_call=full)

    def _kept(self, first_kept: int) -> int:
        before = self.before[first_kept] if 0 <= first_kept < len(self.before) else self.branch
        return max(0, min(self.full, self.branch - before))


class SizeKeeper:
    """Keeps the sizes of what was said; see :class:`parsers.pi.position.Keeper`.

    Args:
        longest: how many characters of a tool's input or output an event has.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._before: list[int] = []
        self._answer: tuple[Any, AnswerSize] = (None, answer_size(None, longest))
        self._result: tuple[Any, ResultSize] = (None, ResultSize(0, 0))

    def context(self) -> SizeContext:
        """Return an empty context."""
        return SizeContext(self._before)

    def message(
        self, source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
    ) -> MessageSize:
        """Return the size of a message, and whether it is sent."""
        if type(source) is e.AssistantMessage:
            size = self._measured(source.content).sent
        elif type(source) is e.ToolResultMessage:
            return MessageSize(self.result(source).sent, order)
        else:
            size = message_size(source, self.longest)
        return MessageSize(size, order, is_sent(source), opens_run)

    def answer(self, content: e.Content) -> AnswerSize | None:
        """Return the size of an answer or a summary, None where it has no content."""
        return None if content is None else self._measured(content)

    def _measured(self, content: e.Content) -> AnswerSize:
        """Return the size of an answer; a message and a record ask for it, and it is measured once."""
        if self._answer[0] is not content:
            self._answer = content, answer_size(content, self.longest)
        return self._answer[1]

    def text(self, answer: AnswerSize | e.Content) -> int | None:
        """Return the size of the text of an answer or a summary."""
        if isinstance(answer, AnswerSize):
            return answer.text
        return None if answer is None else text_size(join_text(answer))

    def arguments(self, call: ToolCall, answer: AnswerSize) -> ArgumentsSize:
        """Return the size of a tool call's arguments."""
        return answer.calls[call.index]

    def result(self, result: e.ToolResultMessage) -> ResultSize:
        """Return the size of a tool's result; it is asked for twice, and measured once."""
        if self._result[0] is not result:
            self._result = result, result_size(result, self.longest)
        return self._result[1]
