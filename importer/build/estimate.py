"""About how many bytes the events of a session will have, for previews.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. What was said is measured in :mod:`parsers.counting.lengths`.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from importer.build.facts import project_of
from importer.build.trimming import EVENT_LIMIT
from importer.sessions.session_file import SessionFile
from parsers.counting.row_writer import EventBases

_PARENT = len(',"$ai_parent_session_id":"pi:01a208c5-ec98-704f-ae12-f52148f48cdd"')


class Bases(NamedTuple):
    """Bytes of an event of each kind besides what was said and what its session is called."""

    generation: int = 0
    span: int = 0
    trace: int = 0
    run: int = 0


class Estimator(Struct):
    """What the sizes of events depend on in the settings (see :func:`importer.build.events.make_estimator`).

    Attributes:
        bases: the bytes that every event has.
        max_length: how many characters of a tool's input or output are kept.
        private: whether nothing that was said is sent.
        names_project: whether the events' project is named after the session's folder.
        names_person: whether the events are a named person's, not the session's.
    """

    bases: Bases = Bases()
    max_length: int = 12_000
    private: bool = False
    names_project: bool = True
    names_person: bool = False

    def of_session(self, file: SessionFile) -> EventBases:
        """Return what the sizes of a session's events are made of; they have its id and its names, too."""
        names = len(file.session_id) * (1 if self.names_person else 2)
        if self.names_project:
            names += 2 * len(project_of(file.cwd))
        if file.parent_session:
            names += _PARENT
        generation, span, trace, run = (base + names for base in self.bases)
        return EventBases(generation, span, trace, run, self.max_length, EVENT_LIMIT, self.private)
