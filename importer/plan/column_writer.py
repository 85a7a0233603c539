"""The figures of a session's events, written to columns as they are told."""

from __future__ import annotations

from collections.abc import Sequence

from importer.build.estimate import Estimator
from importer.totals import model_of
from parsers.counting.rows import GENERATION, NO_TIME, ROW, SPAN, TRACE, CountedFiles
from parsers.counting.sizes import Sizes
from parsers.identity import uuid_bytes
from parsers.records import AnyRecord, Generation, Span

_row = ROW.pack
_NOTHING = (0, 0, 0, 0, 0.0)  # tokens and cost


class ColumnWriter:
    """Writes the figures of one session (see :class:`parsers.counting.figures.Figures`).

    Args:
        counted: where to.
        models: the places of the models in these; new ones are added.
        estimator: tells the lengths of this session's events.
    """

    def __init__(self, counted: CountedFiles, models: dict[str, int], estimator: Estimator) -> None:
        self._rows = counted.rows
        self._models = models
        self._estimator = estimator
        self._model_of: dict[str, int] = {}
        self._trace_id, self._trace = "", b""

    def records(self, records: Sequence[AnyRecord]) -> None:
        """Events of any kind."""
        for record in records:
            kind, model, prompts = TRACE, 0, False
            spent: tuple[int, int, int, int, float] = _NOTHING
            if isinstance(record, Span):
                kind, model = SPAN, self._model_of.get(record.parent_id, 0)
                lengths = self._estimator.span(record)
            elif isinstance(record, Generation):
                kind, model = GENERATION, self._model(model_of(record), record.id)
                lengths = self._estimator.generation(record)
                usage, prompts = record.usage, record.user_prompt is not None
                spent = (*usage[:4], usage.cost_usd)
            else:
                lengths = self._estimator.trace(record)
            start_ms = NO_TIME if record.start_ms is None else record.start_ms
            times = start_ms, record.end_ms
            ids = uuid_bytes(record.id), self._trace_bytes(record.trace_id)
            self._rows += _row(*ids, *times, *spent, model, *lengths, kind, prompts)

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
        start = NO_TIME if start_ms is None else start_ms
        ids = uuid_bytes(own), self._trace_bytes(trace_id)
        self._rows += _row(
            *ids, start, end_ms, *tokens, cost_usd, number, *lengths, GENERATION, prompt is not None
        )
        return number

    def span(
        self, own: bytes, trace_id: str, model: int, name: str, start_ms: int, end_ms: int, length: int
    ) -> None:
        """A tool call with its result."""
        lengths = self._estimator.tool_call(name, length)
        ids = uuid_bytes(own), self._trace_bytes(trace_id)
        self._rows += _row(*ids, start_ms, end_ms, *_NOTHING, model, *lengths, SPAN, False)

    def _trace_bytes(self, trace_id: str) -> bytes:
        if trace_id != self._trace_id:
            self._trace_id, self._trace = trace_id, uuid_bytes(trace_id)
        return self._trace

    def _model(self, name: str, generation_id: str) -> int:
        number = self._models.get(name)
        if number is None:
            number = self._models[name] = len(self._models)
        if generation_id:
            self._model_of[generation_id] = number
        return number
