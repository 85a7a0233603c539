"""A session file, read line by line into records.

Every record depends on nothing but the lines up to the one that completes it, so a live tail, a backfill
and a half-copied file agree on it. Only :meth:`Session.finish` looks at a clock, and it is given one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

from msgspec import UNSET
from msgspec.structs import replace

from parsers.pi import entries as e
from parsers.pi.context import MessageKeeper
from parsers.pi.decoding import BadLineError, Decoded, decode_after_torn, decode_line
from parsers.pi.generations import Where
from parsers.pi.messages import join_text
from parsers.pi.position import Keeper, Position
from parsers.pi.replay import Replay
from parsers.pi.runs import ABANDONED_MS, SETTLE_MS, Grouping, OpenTrace
from parsers.pi.subagents import Delegation, Subagent, parse_subagent
from parsers.pi.toolcalls import Turn
from parsers.pi.traces import Traces, make_records
from parsers.records import AnyRecord, Issue
from parsers.times import to_ms

_LATER_MS = 10 * 365 * 86_400_000
_NO_PROMPTS = (e.AssistantMessage, e.ToolResultMessage)
_MOST_ISSUES = 100  # kinds of damage that are told apart in one file


class Session:
    """One session file as it grows.

    Example:
        >>> session = Session()
        >>> session.feed(b'{"type":"session","id":"s","cwd":"/shop"}')
        []
        >>> session.header.cwd
        '/shop'

    Args:
        grouping: what becomes a trace: a run (``message``) or a session window (``session``).
        window_ms: how long a pause between calls ends a session window, in ms.
        in_pi_terms: turns a line as another agent writes it into one as pi would.
        keeper: decides what is kept of what was said; all of it, if none is given.

    Attributes:
        header: the header, once its line was read.
        name: the session's name, if the user gave it one.
        first_prompt, last_prompt: the texts of the first prompt (a fork's own, if it has one) and the latest.
        prompts: how many user messages the file holds.
        subagent: the subagent whose session this is, if it says so before its first own record.
        has_copies: whether it holds entries that were copied from the session it was forked from.
        words_at: the lines that its name and its first prompt stand in, from 1; 0 for none.
        issues: what was wrong with the file, by kind.
    """

    def __init__(
        self,
        grouping: Grouping = "message",
        window_ms: int = 3_600_000,
        in_pi_terms: Callable[[Decoded], Decoded] | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.header: e.SessionHeader | None = None
        self.name: str | None = None
        self.first_prompt: str | None = None
        self.last_prompt: str | None = None
        self.prompts = 0
        self.words_at = (0, 0)
        self.subagent: Subagent | None = None
        self.has_copies = False
        self.issues: dict[str, Issue] = {}
        self._in_pi_terms = in_pi_terms
        self._lines = 0
        self._order = -1
        self._time_ms = 0
        self._header_ms = 0
        keeper = keeper or MessageKeeper()
        self._empty = keeper.context()
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, int] = {}
        self._seen: set[object] = set()
        self._has_records = False
        self._is_first_copied = False
        self._copied_subagent: Subagent | None = None
        self._traces = Traces(grouping, window_ms)
        self._is_fork = False
        self._replay = Replay(self._traces, self._positions, self._orders, keeper)
        self._start = self._last = Position(self._empty)

    def feed(self, line: bytes, *, torn: bool = False) -> list[AnyRecord]:
        """Read the next line.

        Args:
            line: its bytes, with or without the newline.
            torn: whether the file ends in it without a newline.

        Returns:
            The records that this line completes, in the order in which they ended.
        """
        self._lines += 1
        try:
            decoded = decode_line(line)
        except BadLineError as error:
            if not line.strip():
                return []
            behind = decode_after_torn(line)
            if behind is None:
                self._note("torn last line, left for later" if torn else f"{error}, line skipped")
                return []
            self._note("torn line skipped, the entry behind it was read")
            decoded = behind
        return self._take(decoded, line)

    def _take(self, decoded: Decoded, line: bytes) -> list[AnyRecord]:
        entry, dropped = self._in_pi_terms(decoded) if self._in_pi_terms else decoded
        if isinstance(entry, e.TitleLine):
            self._rename((entry.title or "").strip() or None)
            return []
        if dropped:
            for field in dropped:
                self._note(f"wrong type in {field}, field left out")
        if isinstance(entry, e.SessionHeader):
            self._begin(entry)
            return []
        if self.header is None:
            self._note("entry before the session header, line skipped")
            return []
        if self._is_repeated(entry, line):
            return []
        self._order += 1
        records = self._add(entry)
        return self._note_maker(records) if records else records

    def finish(self, now_ms: int, written_ms: int = 0, *, settle_ms: int = SETTLE_MS) -> list[AnyRecord]:
        """Return the records that need no further line: runs that have ended, and their open calls.

        A run has ended if its last call stopped for good and nothing followed for 20 s (two minutes after an
        error or a cut answer, for pi may be trying again), or if nothing followed at all for a day (a crash).
        It may be asked again and again; it changes nothing.

        Args:
            now_ms: the time now, in ms.
            written_ms: when the file was last written, in ms.
            settle_ms: how long it must have been quiet after a final stop, in ms; after an error or a cut
                answer, six times that.
        """
        turns, ended = self._find_ended(now_ms, written_ms, settle_ms)
        records: list[AnyRecord] = [span for turn in turns for span in turn.unanswered()]
        return self._note_maker([*records, *make_records(ended)])

    def is_final(self, now_ms: int, written_ms: int) -> bool:
        """Tell whether :meth:`finish` would return the same for ever, unless a line is written.

        Args:
            now_ms: the time now, in ms.
            written_ms: when the file was last written, in ms.
        """
        return self._find_ended(now_ms, written_ms) == self._find_ended(now_ms + _LATER_MS, written_ms)

    def _find_ended(
        self, now_ms: int, written_ms: int, settle_ms: int = SETTLE_MS
    ) -> tuple[list[Turn], list[OpenTrace]]:
        """Return the turns whose open calls will not be answered, and the runs and traces that have ended."""
        traces = self._traces.find_ended(now_ms, written_ms, settle_ms)
        turns = [turn for turn in self._replay.turns if turn.open and not turn.copied]
        if not turns:  # how a copied call ended, the parent's file knows
            return [], traces
        ended, going_on = {each.id for each in traces if each.trace is None}, self.open_traces()
        left = now_ms - max(self._time_ms, written_ms) >= ABANDONED_MS
        turns = [turn for turn in turns if turn.trace_id in ended or (left and turn.trace_id not in going_on)]
        return turns, traces

    @property
    def delegations(self) -> Collection[Delegation]:
        """The calls of tools that may start subagents, in file order."""
        return self._replay.delegations.values()

    def open_traces(self) -> set[str]:
        """Return the ids of the traces and runs that are still being collected here."""
        return self._traces.find_open_ids()

    def _begin(self, header: e.SessionHeader) -> None:
        if self.header is not None:
            if header.id != self.header.id:
                self._note("another session's header, line skipped")
            return
        self.header = header
        if not self.name:
            self._rename((header.title or "").strip() or None)
        self._order = 0
        self._header_ms = self._time_ms = to_ms(header.timestamp) or 0
        self._is_fork = (header.parent_session or header.branched_from) is not None
        self._start = self._last = Position(
            context=self._empty,
            provider=header.provider,
            model=header.model_id,
            thinking_level=header.thinking_level,
        )

    def _add(self, entry: e.Entry | e.UnknownEntry) -> list[AnyRecord]:
        parent_id, entry_id, order = entry.parent_id, entry.id, self._order
        at = self._positions.get(parent_id) if parent_id is not None else None  # type: ignore[arg-type]
        if at is None or entry_id is None:
            at = self._find_parent(entry)
        allowance = self._replay.allowance
        allowance.add_line()
        records: list[AnyRecord] = []
        if isinstance(entry, e.Entry):
            where = self._locate(entry)
            self._describe(entry, copied=where.copied)
            at, records = self._replay.step(at, entry, where)
            if allowance.refused:
                allowance.refused = False
                self._note("context rewritten too often, the input of calls is incomplete from here on")
        self._last = at
        if entry_id is not None:
            self._positions[entry_id] = at
            self._orders[entry_id] = order
        return records

    def _note_maker(self, records: list[AnyRecord]) -> list[AnyRecord]:
        """Note the subagent that made records; the parent's agent made those that were copied."""
        for record in records:
            if not record.copied:
                self._has_records = True
            maker = self._copied_subagent if record.copied else self.subagent
            if maker is not None:
                record.agent = maker.name
        return records

    def _find_parent(self, entry: e.Entry | e.UnknownEntry) -> Position:
        """Find the position that an entry hangs off; version 1 is a plain sequence."""
        if entry.id is None or entry.parent_id is UNSET:
            return self._last
        if entry.parent_id is None:
            return self._start
        found = self._positions.get(entry.parent_id)
        if found is None:
            self._note("parent entry missing, the model's input begins anew")
            return replace(self._last, context=self._empty)  # pi sends nothing of what stands before
        return found

    def _locate(self, entry: e.Entry) -> Where:
        ms = to_ms(entry.timestamp)
        if ms is None and isinstance(entry, e.MessageEntry) and entry.message is not None:
            ms = to_ms(entry.message.timestamp)
        if ms is None:
            ms = self._time_ms
        self._time_ms = ms
        copied = self._is_fork and ms < self._header_ms
        self.has_copies = self.has_copies or copied
        return Where(ms, copied, self._order, entry.id)

    def _describe(self, entry: e.Entry, *, copied: bool) -> None:
        """Keep the prompts and names that a person knows the session by; a fork's own prompt comes first."""
        message = entry.message if isinstance(entry, e.MessageEntry) else None
        if type(message) in _NO_PROMPTS:
            return
        if isinstance(message, e.UserMessage):
            self.prompts += 1
            self.last_prompt = join_text(message.content)
            if self.first_prompt is None or (self._is_first_copied and not copied):
                self.first_prompt, self._is_first_copied = self.last_prompt, copied
                self.words_at = (self.words_at[0], self._lines)
        elif isinstance(message, e.SystemMessage):
            if message.agent and not self._has_records:
                self.subagent = Subagent(message.agent, "")
        elif isinstance(entry, e.SessionInfo):
            self._rename(entry.given_name)
            if copied:
                self._copied_subagent = self._copied_subagent or parse_subagent(self.name)
            elif not self._has_records:  # a name that came later would be known to some of the records only
                self.subagent = self.subagent or parse_subagent(self.name)

    def _rename(self, name: str | None) -> None:
        self.name, self.words_at = name, (self._lines, self.words_at[1])

    def _is_repeated(self, entry: e.Entry | e.UnknownEntry, line: bytes) -> bool:
        """Tell whether the file holds the same entry already, as after it was appended to itself."""
        seen = self._seen
        count = len(seen)
        if entry.id is not None:
            seen.add((entry.id, type(entry), entry.timestamp))
        else:
            seen.add(hashlib.sha1(line.strip(), usedforsecurity=False).digest())
        return len(seen) == count

    def _note(self, what: str) -> None:
        if what not in self.issues and len(self.issues) >= _MOST_ISSUES:
            what = "more kinds of damage"
        issue = self.issues.get(what)
        if issue:
            issue.count += 1
        else:
            self.issues[what] = Issue(what, self._lines)
