"""Session files to rows: what a preview knows of each event, without building any."""

from __future__ import annotations

import os
from collections.abc import Sequence

from importer.build.estimate import Estimator
from importer.sessions.reading import count, new_count
from importer.sessions.session_file import SessionFile
from importer.sessions.words import words
from importer.settings import Settings
from parsers.agents import SessionParser
from parsers.counting.row_writer import RowWriter
from parsers.counting.rows import ROW, CountedFile, CountedFiles
from parsers.identity import uuid_bytes

PURE = "PI2POSTHOG_PURE"
"""The variable that does without compiled code, for tests and reports of bugs."""


def use_compiled() -> bool:
    """Tell whether compiled code is to be used where it was built."""
    return os.environ.get(PURE, "") in ("", "0")


def count_files(
    files: Sequence[SessionFile], settings: Settings, estimator: Estimator, now_ms: int
) -> CountedFiles:
    """Return the events of some session files; a file that cannot be read says so."""
    found = CountedFiles()
    models = {"": 0}
    compiled = use_compiled()
    for file in files:
        start = len(found.rows)
        session = new_count(settings, file.agent)
        counted = CountedFile()
        try:
            writer = RowWriter(found, models, estimator.of_session(file))
            count(file, session, writer, now_ms, compiled=compiled)
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
