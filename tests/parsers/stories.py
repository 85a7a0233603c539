"""Random sessions for hypothesis: trees that pi could have written, with all that costs tokens."""

from hypothesis import strategies as st

from tests.parsers.build import LINE_BEFORE, MINUTE, SECOND, Transcript, call, text, usage

PAUSES = st.sampled_from([0, 1, 5, SECOND, 30 * SECOND, 10 * MINUTE, 90 * MINUTE])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


class Story:
    """A random session in the making, step by step; every usage in it is of another size.

    ``counted`` holds the input tokens of every usage in the file.
    """

    def __init__(self, draw: st.DrawFn, version: int = 3, *, is_tree: bool = True) -> None:
        self.draw = draw
        self.talk = Transcript(version)
        self.is_tree = is_tree
        self.counted: list[int] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.calls = 0

    def step(self) -> None:
        """Add an entry, or a few that come together."""
        kinds = [
            self.prompt,
            self.answer,
            self.answer,
            self.results,
            self.side_work,
            self.compaction,
            self.other,
        ]
        if self.is_tree:
            kinds += [self.edit, self.branch_summary]
        self.draw(st.sampled_from(kinds))()

    def parent(self) -> object:
        """The line before, mostly; at times any earlier entry, or none."""
        if not self.is_tree or not self.ids or self.draw(st.integers(0, 4)):
            return LINE_BEFORE
        self.open = []
        return self.draw(st.sampled_from([*self.ids, None]))

    def usage(self) -> dict[str, object]:
        size = 1000 + len(self.counted)
        self.counted.append(size)
        return usage(size, self.draw(st.integers(0, 3)), self.draw(st.integers(0, 3)))

    def told(self, entry_id: str) -> None:
        self.ids.append(entry_id)

    def prompt(self) -> None:
        self.talk.wait(self.draw(PAUSES))
        self.told(self.talk.user(self.draw(TEXTS), at=self.parent()))

    def answer(self) -> None:
        """An answer within seconds of what it answers, as an agent at work gives it."""
        self.open = [f"c{self.calls + n}" for n in range(self.draw(st.integers(0, 2)))]
        self.calls += len(self.open)
        blocks = [text(self.draw(TEXTS)), *(call(call_id) for call_id in self.open)]
        stop = self.draw(st.sampled_from(["stop", "length", "error", "aborted", "odd"]))
        takes = self.draw(st.integers(1, 15 * SECOND))
        fields = {"stopReason": "toolUse" if self.open else stop, "usage": self.usage()}
        self.told(self.talk.assistant(*blocks, at=self.parent(), takes=takes, **fields))

    def results(self) -> None:
        """The results of the latest calls, or of some of them."""
        for call_id in self.open:
            if self.draw(st.integers(0, 3)):
                nested = {"usage": self.usage()} if self.draw(st.booleans()) else {}
                self.told(
                    self.talk.result(call_id, self.draw(TEXTS), takes=self.draw(st.integers(0, 5)), **nested)
                )
        self.open = []
        if self.draw(st.integers(0, 3)) == 0:
            self.told(self.talk.queued(self.draw(TEXTS), typed_ago=self.draw(st.integers(1, 9))))

    def side_work(self) -> None:
        self.talk.wait(self.draw(PAUSES))
        self.told(self.talk.entry("usage", kind="cache_warm", parent=self.parent(), usage=self.usage()))

    def compaction(self) -> None:
        kept = self.draw(st.sampled_from([None, "nowhere", *self.ids]))
        fields = {"firstKeptEntryIndex": self.draw(st.integers(1, 9))} if self.talk.version == 1 else {}
        fields |= {"usage": self.usage()} if self.draw(st.booleans()) else {}
        self.told(self.talk.compaction(self.draw(TEXTS), keeps=kept, **fields))

    def branch_summary(self) -> None:
        fields = {"usage": self.usage()} if self.draw(st.booleans()) else {}
        left = self.draw(st.sampled_from(["nowhere", *self.ids]))
        summary = self.draw(TEXTS)
        self.told(
            self.talk.entry("branch_summary", parent=self.parent(), fromId=left, summary=summary, **fields)
        )

    def edit(self) -> None:
        target = self.draw(st.sampled_from(["nowhere", *self.ids]))
        content = self.draw(st.none() | TEXTS)
        replacement = None if content is None else {"content": content}
        self.told(self.talk.entry("context_edit", targetId=target, replacement=replacement))

    def other(self) -> None:
        """What costs nothing."""
        talk = self.talk
        adds = [
            lambda: talk.bash("ls", self.draw(TEXTS)),
            lambda: talk.system(sections={"a": self.draw(TEXTS)}),
            lambda: talk.entry("custom_message", customType="x", content=self.draw(TEXTS)),
            lambda: talk.entry("label", targetId="x"),
            lambda: talk.entry("model_change", provider="p", modelId=self.draw(TEXTS)),
            lambda: talk.entry("mood", data=self.draw(TEXTS)),
            lambda: talk.message("oracle", content=self.draw(TEXTS)),
        ]
        self.told(self.draw(st.sampled_from(adds))())


@st.composite
def stories(draw: st.DrawFn, version: int = 3, *, is_tree: bool = True, steps: int = 12) -> Story:
    """Random sessions; without branches and edits if not ``is_tree``."""
    story = Story(draw, version, is_tree=is_tree)
    for _ in range(draw(st.integers(0, steps))):
        story.step()
    return story
