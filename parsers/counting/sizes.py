"""How large a model's input would be at each point of a branch: a context without its messages."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from parsers.pi import entries as e
from parsers.pi.model_input import InputSizes
from parsers.pi.prompt import NO_PROMPT, SystemPrompt

_FRAME = 150  # bytes that a summary takes besides its text


class MessageSize(Struct):
    """Stands for a message of a context: about how many bytes it takes, and whether it is sent at all."""

    size: int
    is_sent: bool = True
    opens_run: bool = False


class Sizes(Struct, frozen=True):
    """Does for sizes what :class:`parsers.pi.context.Context` does for messages; all are bytes of JSON.

    Attributes:
        prompt: the system prompt and tools in force.
        full: all messages that are sent.
        before_run: those before the prompt that opened the run.
        before_call: those that the call before was given.
        branch: all messages that were ever written on the branch.
        before: by the place of an entry in the file, the ``branch`` before it; shared by a session.
    """

    before: list[int]
    prompt: SystemPrompt = NO_PROMPT
    full: int = 0
    before_run: int = 0
    before_call: int = 0
    branch: int = 0

    batch_size = 0

    @property
    def size(self) -> int:
        """What an edit costs: nothing here is written anew."""
        return 0

    def size_from(self, first_kept: int) -> int:
        """What a compaction costs."""
        return 0

    def given(self) -> InputSizes:
        """What a call is given that is made here."""
        return InputSizes(self.prompt, self.full, self.full - self.before_run, self.full - self.before_call)

    def given_to_compaction(self, first_kept: int) -> InputSizes:
        """What a compaction is given."""
        replaced = max(0, self.full - self._kept(first_kept))
        return InputSizes(self.prompt, replaced, replaced, replaced)

    def given_to_summary(self, left: Sizes | None) -> InputSizes:
        """What the summary of a branch is given that was left."""
        seen = max(0, left.full - self.full) if left else 0
        return InputSizes(self.prompt, seen, seen, seen)

    def emptied(self) -> Sizes:
        """The context without its messages."""
        return Sizes(self.before, self.prompt)

    def append(self, message: MessageSize) -> Sizes:
        """The context with one more message."""
        size = message.size
        if not message.is_sent:
            return replace(self, branch=self.branch + size)
        before_run = self.full if message.opens_run else self.before_run
        return replace(self, full=self.full + size, branch=self.branch + size, before_run=before_run)

    linked = append

    def answered(self) -> Sizes:
        """The context as it is: the results that pi makes up are small."""
        return self

    def after_call(self) -> Sizes:
        """The context once a call was made with it."""
        return replace(self, before_call=self.full)

    def patched(self, message: e.SystemMessage) -> Sizes:
        """The context under a changed system prompt."""
        return replace(self, prompt=self.prompt.patched(message))

    def edited(self, edit: e.ContextEdit) -> Sizes:
        """The context as it is: an edit changes one message."""
        return self

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> Sizes:
        """The context after a compaction: its summary, and what was kept."""
        kept = 0 if entry.retained_tail is not None else self._kept(first_kept)
        full = len(entry.summary) + _FRAME + kept
        prompt = NO_PROMPT.patched(entry.system_message) if entry.system_message else self.prompt
        return replace(self, prompt=prompt, full=full, before_run=0, before_call=full)

    def _kept(self, first_kept: int) -> int:
        before = self.before[first_kept] if 0 <= first_kept < len(self.before) else self.branch
        return max(0, min(self.full, self.branch - before))
