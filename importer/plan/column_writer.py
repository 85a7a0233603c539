"""The figures of a session's events, written to columns as they are told."""

from __future__ import annotations

from collections.abc import Sequence

from importer.build.estimate import Estimator
from importer.plan.columns import CALL, EVENT, GENERATION, NO_TIME, SPAN, TRACE, Columns, as_bytes
from importer.totals import model_of
from parsers.counting.sizes import Sizes
from parsers.records import AnyRecord, Generation, Span

_event, _call = EVENT.pack, CALL.pack


class ColumnWriter:
    """Writes the figures of one session (see :class:`parsers.counting.figures.Figures`).

    Args:
        columns: where to.
        models: the places of the models in these; new ones are added.
        estimator: tells the lengths of this session's events.
    """

    def __init__(self, columns: Columns, models: dict[str, int], estimator: Estimator) -> None:
        self._events, self._calls = columns.events, columns.calls
        self._models = models
        self._estimator = estimator
        self._model_of: dict[str, int] = {}
        self._trace_id, self._trace = "", b""

    def records(self, records: Sequence[AnyRecord]) -> None:
        """Events of any kind."""
        for record in records:
            kind, model = TRACE, 0
            if isinstance(record, Span):
                kind, model = SPAN, self._model_of.get(record.parent_id, 0)
                lengths = self._estimator.span(record)
            elif isinstance(record, Generation):
                kind, model = GENERATION, self._model(model_of(record), record.id)
                lengths = self._estimator.generation(record)
                start_ms = NO_TIME if record.start_ms is None else record.start_ms
                usage, prompted = record.usage, record.user_prompt is not None
                trace = as_bytes(record.trace_id)
                self._calls += _call(trace, start_ms, *usage[:4], usage.cost_usd, prompted)
            else:
                lengths = self._estimator.trace(record)
            self._events += _event(as_bytes(record.id), record.end_ms, model, *lengths, kind)

    def call(
        self,
        own: bytes,
        generation_id: str,
        trace_id: str,
        model: str | None,
        start_ms: int | None,
        end_ms: int,
        tokens: tuple[int, int, int, int],
        cost_usd: float,
        prompt: str | None,
        length: int,
        given: Sizes,
    ) -> int:
        """An answer."""
        number = self._model(model or "(chat)", generation_id)
        full, before_run, before_call = given.full, given.before_run, given.before_call
        sent = full, full - before_run, full - before_call
        lengths = self._estimator.call(model, prompt, length, given.prompt, sent)
        if trace_id != self._trace_id:
            self._trace_id, self._trace = trace_id, as_bytes(trace_id)
        self._events += _event(own, end_ms, number, *lengths, GENERATION)
        start = NO_TIME if start_ms is None else start_ms
        self._calls += _call(self._trace, start, *tokens, cost_usd, prompt is not None)
        return number

    def span(self, own: bytes, model: int, name: str, end_ms: int, length: int) -> None:
        """A tool call with its result."""
        self._events += _event(own, end_ms, model, *self._estimator.tool_call(name, length), SPAN)

    def _model(self, name: str, generation_id: str) -> int:
        number = self._models.get(name)
        if number is None:
            number = self._models[name] = len(self._models)
        if generation_id:
            self._model_of[generation_id] = number
        return number
