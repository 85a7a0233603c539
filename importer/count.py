"""Session files to columns: what a preview knows of each event, without building any."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from importer.columns import GENERATION, NO_TIME, SPAN, TRACE, Columns, CountedFile
from importer.estimate import Estimator
from importer.reading import new_count, records_of
from importer.session_file import SessionFile
from importer.settings import Settings
from importer.totals import model_of
from parsers.agents import SessionParser
from parsers.counting import NoSizes
from parsers.records import AnyRecord, Generation, Span

_LATER_MS = 10 * 365 * 86_400_000
_LONGEST_WORDS = 10_000  # characters of a name or a prompt that a table looks at


def count_files(
    files: Sequence[SessionFile], settings: Settings, estimator: Estimator, now_ms: int
) -> Columns:
    """The events of some session files; a file that cannot be read says so."""
    columns = Columns()
    models = {"": 0}
    for file in files:
        start = len(columns.kinds)
        session = new_count(settings, file.agent, estimator)
        own = estimator.of_session(file)
        counted = CountedFile()
        models_of: dict[str, int] = {}
        try:
            for records in records_of(file, session, now_ms):
                if records:
                    _add(records, columns, own, models, models_of)
        except OSError as error:
            counted.error = error.strerror or str(error)
            _forget(columns, start)
        else:
            _describe(counted, session)
            written_ms = file.mtime_ns // 1_000_000
            ended = len(session.finish(now_ms, written_ms))
            counted.is_final = ended == len(session.finish(now_ms + _LATER_MS, written_ms))
            counted.events = len(columns.kinds) - start
        columns.files.append(counted)
    columns.model_names = list(models)
    return columns


def _add(
    records: Sequence[AnyRecord],
    columns: Columns,
    estimator: Estimator,
    models: dict[str, int],
    models_of: dict[str, int],
) -> None:
    add_end, add_kind, add_model = columns.end_ms.append, columns.kinds.append, columns.models.append
    full, turn, new = columns.full.append, columns.turn.append, columns.new.append
    for record in records:
        columns.ids += bytes.fromhex(record.id.replace("-", ""))
        add_end(record.end_ms)
        if isinstance(record, Span):
            add_kind(SPAN)
            add_model(models_of.get(record.parent_id, 0))
            sizes = estimator.span(record)
        elif isinstance(record, Generation):
            name = model_of(record)
            model = models.get(name)
            if model is None:
                model = models[name] = len(models)
            models_of[record.id] = model
            usage = record.usage
            add_kind(GENERATION)
            add_model(model)
            columns.prompted.append(record.user_prompt is not None)
            columns.calls.extend((NO_TIME if record.start_ms is None else record.start_ms, *usage[:4]))
            columns.costs_usd.append(usage.cost_usd)
            columns.trace_ids += bytes.fromhex(record.trace_id.replace("-", ""))
            sizes = estimator.generation(record)
        else:
            add_kind(TRACE)
            add_model(0)
            sizes = estimator.trace(record)
        full(sizes[0])
        turn(sizes[1])
        new(sizes[2])


def _describe(counted: CountedFile, session: SessionParser) -> None:
    counted.name, counted.first_prompt = _words(session)
    counted.words_line = getattr(session, "words_line", None)
    counted.subagent = session.subagent.name if session.subagent else None
    counted.issues = list(session.issues.values())
    counted.open_traces = [bytes.fromhex(trace.replace("-", "")) for trace in session.open_traces()]


def words_of(file: SessionFile, settings: Settings, line: int) -> tuple[str | None, str | None]:
    """The name and the first prompt of a session, read from its first lines up to that one."""
    session = new_count(settings, file.agent, NoSizes())
    try:
        with file.path.open("rb") as lines:
            for each in islice(lines, line):
                session.feed(each)
    except OSError:
        return None, None
    return _words(session)


def _words(session: SessionParser) -> tuple[str | None, str | None]:
    prompt = session.first_prompt
    return session.name and session.name[:_LONGEST_WORDS], prompt if prompt is None else prompt[
        :_LONGEST_WORDS
    ]


def _forget(columns: Columns, start: int) -> None:
    """Take back the events of a file that could not be read to its end."""
    calls = columns.kinds[:start].count(GENERATION)
    del columns.ids[16 * start :], columns.kinds[start:], columns.models[start:], columns.end_ms[start:]
    del columns.full[start:], columns.turn[start:], columns.new[start:]
    del columns.prompted[calls:], columns.calls[5 * calls :], columns.costs_usd[calls:]
    del columns.trace_ids[16 * calls :]
