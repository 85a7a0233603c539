"""Session files to rows: what a preview knows of each event, without building any."""

from __future__ import annotations

from collections.abc import Sequence

from importer.build.estimate import Estimator
from importer.plan.compiled import column_writer, use_compiled
from importer.sessions.reading import count, new_count
from importer.sessions.session_file import SessionFile
from importer.sessions.words import words
from importer.settings import Settings
from parsers.agents import SessionParser
from parsers.counting.rows import ROW, CountedFile, CountedFiles
from parsers.identity import uuid_bytes


def count_files(
    files: Sequence[SessionFile], settings: Settings, estimator: Estimator, now_ms: int
) -> CountedFiles:
    """The events of some session files; a file that cannot be read says so."""
    found = CountedFiles()
    models = {"": 0}
    compiled = use_compiled()
    for file in files:
        start = len(found.rows)
        session = new_count(settings, file.agent)
        counted = CountedFile()
        try:
            figures = column_writer(found, models, estimator.of_session(file), compiled=compiled)
            count(file, session, figures, now_ms, compiled=compiled)
        except OSError as error:
            counted.error = error.strerror or str(error)
            del found.rows[start:]
        else:
            _describe(counted, session)
            written_ms = file.mtime_ns // 1_000_000
            counted.is_final = session.is_final(now_ms, written_ms)
            counted.events = (len(found.rows) - start) // ROW.size
        found.files.append(counted)
    found.model_names = list(models)
    return found


def _describe(counted: CountedFile, session: SessionParser) -> None:
    counted.name, counted.first_prompt = words(session)
    counted.words_at = getattr(session, "words_at", None)
    counted.subagent = session.subagent.name if session.subagent else None
    counted.issues = list(session.issues.values())
    counted.open_traces = [uuid_bytes(trace) for trace in session.open_traces()]
