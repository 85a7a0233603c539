"""The replay of a session that is only counted: no message is kept, only how long it is."""

from __future__ import annotations

from collections.abc import Mapping

from parsers.counting.lengths import message_length, state_length
from parsers.counting.sizes import MessageSize
from parsers.pi import entries as e
from parsers.pi.chain import context_message
from parsers.pi.delegation import may_start_subagents
from parsers.pi.generations import When
from parsers.pi.messages import Source
from parsers.pi.position import Position
from parsers.pi.replay import Replay, Step
from parsers.pi.runs import Traces
from parsers.pi.toolcalls import ToolCall, Turn
from parsers.records import Generation


class CountedTurn(Turn, eq=False):
    """A turn whose answer was counted without a record; ``model`` is the number for its model."""

    model: int = 0


class CountingReplay(Replay):
    """Replays a session for its numbers.

    Args:
        traces, positions, orders: as :class:`parsers.pi.replay.Replay`.
        longest: how many characters of a tool's input or output an event has.
        before: where the contexts' sizes are noted, by the place of an entry.
    """

    def __init__(
        self,
        traces: Traces,
        positions: Mapping[str, Position],
        orders: Mapping[str, int],
        longest: int,
        before: list[int],
    ) -> None:
        super().__init__(traces, positions, orders)
        self._longest = longest
        self._before = before

    def step(self, at: Position, entry: e.Entry, order: int, when: When) -> Step:
        """As :meth:`parsers.pi.replay.Replay.step`."""
        before = self._before
        before.extend([at.context.branch] * (order + 1 - len(before)))
        return super().step(at, entry, order, when)

    def _turn(self, call: Generation, order: int, calls: dict[str, ToolCall]) -> Turn | None:
        turn = super()._turn(call, order, calls)
        for each in calls.values():  # arguments keep some hundred kB of the file around them
            if not may_start_subagents(each.name):
                each.arguments = state_length(each.arguments, self._longest)
        return turn

    def _seen(  # type: ignore[override]
        self, source: Source, order: int, entry_id: str | None, *, opens_run: bool = False
    ) -> MessageSize:
        is_sent = context_message(source, order).is_sent
        return MessageSize(message_length(source, self._longest), is_sent, opens_run)
