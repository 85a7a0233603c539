"""One made-up session, line by line as pi 0.73 writes it: its order of keys, JSON without spaces.

Whatever the id of an event is derived from (response ids, prompts, summaries) holds the session's number,
so no two sessions share a call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmarks.corpus_text import Texts

MODELS = ((b"claude-sonnet-4-5", 3.0, 15.0), (b"claude-opus-4-5", 5.0, 25.0))  # USD a million tokens
COMPACT_AT = 850_000  # bytes of context, about 200,000 tokens
KEPT = 80_000  # bytes of context after a compaction
BYTES_A_TOKEN = 4
_LAST = 4000  # bytes of a last answer, so that files get the size that was asked for
_CUT = 50_000  # bytes at which pi cuts a tool's output
_EPOCH = datetime(1970, 1, 1)
_NO_USAGE = (
    b'{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"totalTokens":0,'
    b'"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"total":0}}'
)
_TOOLS = (b"bash", b"bash", b"bash", b"edit", b"edit", b"read", b"read", b"write")


@dataclass(slots=True)
class Tally:
    """What was written: ``bytes`` and ``lines`` of the files; the rest, in USD, without a fork's copies."""

    sessions: int = 0
    generations: int = 0
    spans: int = 0
    prompts: int = 0
    cost_usd: float = 0.0
    lines: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Session:
    """Writes one session.

    Attributes:
        number: the session's number, unique in the corpus.
        now_ms: the time of the last line, in ms since the epoch.
        lines: all lines so far.
        turns: for each prompt its index in ``lines``, and ``entries`` and ``context`` there; a fork copies
            the lines before one.
    """

    texts: Texts
    tally: Tally
    number: int
    now_ms: int
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    turns: list[tuple[int, int, int]] = field(default_factory=list)
    entries: int = 0
    context: int = 0
    calls: int = 0
    model: int = 0
    parent: bytes = b"null"
    recent: list[tuple[bytes, int]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The session's id, which looks like a UUIDv7."""
        stamp = f"{self.now_ms:012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7000-8000-{self.number:012x}"

    def begin(self, cwd: str, parent_file: str | None = None) -> None:
        """Write the header; a fork names its parent's file."""
        parent = f',"parentSession":"{parent_file}"' if parent_file else ""
        fields = f'"id":"{self.id}","timestamp":"{self.format_time()}","cwd":"{cwd}"{parent}'
        self.tally.sessions += 1
        self._write_line(f'{{"type":"session","version":3,{fields}}}\n'.encode())

    def copy(self, parent: Session) -> None:
        """Copy the parent's lines up to the prompt in its middle."""
        place, self.entries, self.context = parent.turns[len(parent.turns) // 2]
        self.model, self.calls = parent.model, parent.calls
        for line in parent.lines[1:place]:
            self._write_line(line)
        last = parent.lines[place - 1]
        self.parent = last[last.index(b'"id":') + 5 :][:10]
        self.recent = [(self.parent, 0)]

    def open(self) -> None:
        """Write the lines that pi writes before the first prompt."""
        self.model = int(self.texts.chance.random() * len(MODELS))
        name = MODELS[self.model][0]
        self._write_entry(b"model_change", b'"provider":"anthropic","modelId":"%b"' % name)
        self._write_entry(b"thinking_level_change", b'"thinkingLevel":"medium"')

    def run(self, end: int) -> None:
        """Write a prompt, tool calls and an answer; stop early so that the session gets ``end`` bytes."""
        random = self.texts.chance.random
        self.turns.append((len(self.lines), self.entries, self.context))
        self._wait(20_000 + 400_000 * random())
        self.tally.prompts += 1
        text = self.texts.prose.cut(self._draw_size(150, 1.0))
        self._write_message(
            b'"role":"user","content":[{"type":"text","text":"%x-%x: %b"}],"timestamp":%d'
            % (self.number, len(self.turns), text, self.now_ms - 3),
            len(text),
        )
        for _ in range(2 + int(random() ** 2 * 24)):
            if self.size + _LAST > end:
                break
            if self.context > COMPACT_AT:
                self._compact()
            luck = random()
            if luck < 0.008:
                self._fail(b"error", b'529 {\\"type\\":\\"error\\",\\"message\\":\\"Overloaded\\"}')
            elif luck < 0.012:
                self._fail(b"aborted", b"Request was aborted.")
                return
            else:
                self._call_tools()
        self._write_answer(b"stop", [])

    def format_time(self) -> str:
        """Format the time as pi does."""
        return (_EPOCH + timedelta(milliseconds=self.now_ms)).isoformat(timespec="milliseconds") + "Z"

    def _call_tools(self) -> None:
        """Write an answer that calls one or two tools, and their results."""
        random = self.texts.chance.random
        names = [_TOOLS[int(random() * len(_TOOLS))] for _ in range(1 if random() < 0.85 else 2)]
        calls = [
            (b"toolu_01%06xA%06xB%xZ" % (self.number, self.calls, n), name) for n, name in enumerate(names)
        ]
        self._write_answer(b"toolUse", calls)
        self.tally.spans += len(calls)
        self._wait(30 + 4000 * random())
        for call, name in calls:
            wrong = random() < 0.04
            self.now_ms += 1
            if name in (b"edit", b"write"):
                details = b'"details":{"diff":"%b","firstChangedLine":%d},' % (
                    self.texts.code.cut(self._draw_size(700, 0.9)),
                    1 + int(random() * 900),
                )
                text = b"Successfully replaced text in src/%b.py." % self.texts.words()
            else:
                details = b""
                pool = self.texts.code if name == b"read" else self.texts.output
                text = pool.cut(min(_CUT, self._draw_size(1700, 1.15)))
            self._write_message(
                b'"role":"toolResult","toolCallId":"%b","toolName":"%b","content":[{"type":"text","text":"%b"}],'
                b'%b"isError":%b,"timestamp":%d'
                % (call, name, text, details, b"true" if wrong else b"false", self.now_ms),
                len(text),
            )

    def _write_answer(self, stop: bytes, calls: list[tuple[bytes, bytes]]) -> None:
        """Write one answer of the model."""
        random, texts = self.texts.chance.random, self.texts
        asked_ms = self.now_ms + 4
        blocks = []
        if random() < 0.8:
            thinking = texts.prose.cut(self._draw_size(350, 0.8))
            signature = texts.signature(500 + 4 * int(625 * random() ** 2.5))
            blocks.append(
                b'{"type":"thinking","thinking":"%b","thinkingSignature":"%b"}' % (thinking, signature)
            )
        text = b""
        if not calls or random() < 0.45:
            text = texts.prose.cut(self._draw_size(200 if calls else 700, 0.8))
            blocks.append(b'{"type":"text","text":"%b"}' % text)
        arguments = b""
        for call, name in calls:
            arguments = self._make_arguments(name)
            fields = (call, name, arguments)
            blocks.append(b'{"type":"toolCall","id":"%b","name":"%b","arguments":%b}' % fields)
        content = b",".join(blocks)
        self._wait(800 + len(content) * 3)
        self.calls += 1
        model, usage = MODELS[self.model][0], self._make_usage(len(content))
        self._write_message(
            b'"role":"assistant","content":[%b],"api":"anthropic-messages","provider":"anthropic","model":"%b",'
            b'"usage":%b,"stopReason":"%b","timestamp":%d,"responseId":"msg_01%08xQ%08xV"'
            % (content, model, usage, stop, asked_ms, self.number, self.entries),
            len(text) + len(arguments),
        )

    def _make_arguments(self, name: bytes) -> bytes:
        """Make the arguments of a call of the tool."""
        code, path = self.texts.code, self.texts.words()
        if name == b"bash":
            return b'{"command":"cd /home/dev/shop && rg -n \\"%b\\" src | head -40","timeout":120}' % path
        if name == b"read":
            return b'{"path":"src/%b.py","offset":%d,"limit":200}' % (path, 1 + self.entries)
        if name == b"write":
            return b'{"path":"src/%b.py","content":"%b"}' % (path, code.cut(self._draw_size(1600, 0.9)))
        old = code.cut(self._draw_size(300, 0.8))
        return b'{"path":"src/%b.py","oldText":"%b","newText":"%b%b"}' % (path, old, old, code.cut(120))

    def _fail(self, stop: bytes, error: bytes) -> None:
        """Write a failed answer, which cost nothing."""
        asked_ms = self.now_ms + 4
        self._wait(1500)
        self._write_message(
            b'"role":"assistant","content":[],"api":"anthropic-messages","provider":"anthropic","model":"%b",'
            b'"usage":%b,"stopReason":"%b","timestamp":%d,"errorMessage":"%b"'
            % (MODELS[self.model][0], _NO_USAGE, stop, asked_ms, error),
            0,
        )
        self.tally.generations += 1

    def _compact(self) -> None:
        """Write a summary that replaces all but the latest entries."""
        before, kept = self.context, 0
        while self.recent and kept < KEPT:
            first, size = self.recent.pop()
            kept += size
        self._wait(20_000)
        summary = b"## Goal\\n%x-%x\\n%b" % (self.number, self.entries, self.texts.prose.cut(6000))
        tokens, usage = before // BYTES_A_TOKEN, self._make_usage(len(summary))
        self._write_entry(
            b"compaction",
            b'"summary":"%b","firstKeptEntryId":%b,"tokensBefore":%d,'
            b'"details":{"readFiles":[],"modifiedFiles":[]},"usage":%b,"fromHook":false'
            % (summary, first, tokens, usage),
        )
        self.context = kept + len(summary)
        self.recent = [(first, kept)]

    def _make_usage(self, written: int) -> bytes:
        """Make a usage block, and count its cost."""
        # Enough tokens that no cost is below 0.0001, which Python writes in another way than pi.
        fresh, output = 40 + int(60 * self.texts.chance.random()), 40 + written // BYTES_A_TOKEN
        cached = 1200 + self.context // BYTES_A_TOKEN
        _, per_input, per_output = MODELS[self.model]
        costs = (fresh * per_input / 1e6, output * per_output / 1e6, cached * per_input / 1e7, 0.01)
        total = sum(costs)
        self.tally.generations += 1
        self.tally.cost_usd += total
        return (
            f'{{"input":{fresh},"output":{output},"cacheRead":{cached},"cacheWrite":900,'
            f'"totalTokens":{fresh + output + cached + 900},"cost":{{"input":{costs[0]},"output":{costs[1]},'
            f'"cacheRead":{costs[2]},"cacheWrite":0.01,"total":{total}}}}}'
        ).encode()

    def _draw_size(self, median: int, spread: float) -> int:
        return int(self.texts.chance.lognormvariate(0.0, spread) * median)

    def _wait(self, ms: float) -> None:
        self.now_ms += 1 + int(ms)

    def _write_message(self, fields: bytes, context: int) -> None:
        self.context += context
        self._write_entry(b"message", b'"message":{%b}' % fields)
        self.recent.append((self.parent, context))

    def _write_entry(self, kind: bytes, fields: bytes) -> None:
        self.entries += 1
        self.now_ms += 2
        name = b'"%08x"' % (self.entries * 2_654_435_761 & 0xFFFF_FFFF)
        self._write_line(
            b'{"type":"%b","id":%b,"parentId":%b,"timestamp":"%b",%b}\n'
            % (kind, name, self.parent, self.format_time().encode(), fields)
        )
        self.parent = name

    def _write_line(self, line: bytes) -> None:
        self.lines.append(line)
        self.size += len(line)
        self.tally.lines += 1
        self.tally.bytes += len(line)
