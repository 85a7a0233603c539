"""About how many bytes the events of a session will have, for previews.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. What was said is measured in :mod:`parsers.counting.lengths`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from importer.build.events import EventBuilder
from importer.build.facts import SessionFacts, project_of
from importer.build.person import IDENTIFY_MS
from importer.build.trimming import EVENT_LIMIT
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from importer.totals import TraceTotals
from parsers.counting.row_writer import EventBases
from parsers.records import Generation, Run, Span, Trace
from parsers.usage import Usage

_PARENT = len(',"$ai_parent_session_id":"pi:01a208c5-ec98-704f-ae12-f52148f48cdd"')
_UUID = "00000000-0000-5000-8000-000000000000"


class Bases(NamedTuple):
    """Bytes of an event of each kind besides what was said and what its session is called."""

    generation: int = 0
    span: int = 0
    trace: int = 0
    run: int = 0


_NO_BYTES = Bases()


class Estimator(Struct):
    """What the sizes of events depend on in the settings (see :func:`make_estimator`).

    Attributes:
        bases: the bytes that every event has.
        content: how many of them are those of properties that an event without content lacks.
        max_length: how many characters of a tool's input or output are kept.
        private: whether nothing that was said is sent.
        names_project: whether the events' project is named after the session's folder.
        names_person: whether the events are a named person's, not the session's.
    """

    bases: Bases = _NO_BYTES
    content: Bases = _NO_BYTES
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
        most = self.max_length, EVENT_LIMIT
        return EventBases(generation, span, trace, run, *most, self.private, *self.content)


def make_estimator(settings: Settings) -> Estimator:
    """Return what estimates how large the events of these settings will be."""
    own: dict[str, Any] = {
        "id": _UUID,
        "trace_id": _UUID,
        "window": 1,
        "end_ms": IDENTIFY_MS,
        "copied": False,
    }
    cost_usd = 0.0123456789
    call = Generation(
        **own,
        name="chat",
        parent_id=_UUID,
        usage=Usage(1000, 1000, 10000, 1000, 10000, None, cost_usd, cost_usd, cost_usd),
        provider="provider",
        thinking_level="off",
        stop_reason="stop",
    )
    span = Span(**own, name="", parent_id=_UUID, input=None, output=None, is_error=False)
    trace = Trace(
        **own,
        name="",
        session_name=None,
        from_prompt=True,
        input=None,
        output=None,
        is_error=False,
        error=None,
    )
    run = Run(
        **own,
        name="",
        from_prompt=True,
        input="" if settings.trace_grouping == "session" else None,
        output=None,
        is_error=False,
        error=None,
        share_ms=0,
        trace_start_ms=None,
        trace_input=None,
    )
    totals = TraceTotals(1000, 1000, 10000, 1000, cost_usd)
    builder = EventBuilder(settings, SessionFacts("", "", ""))
    records = (call, span, trace, run)
    sizes = [builder.build(record, totals).size for record in records]
    builder.content_since_ms = IDENTIFY_MS + 1
    bare = [builder.build(record, totals).size for record in records]
    return Estimator(
        Bases(*sizes),
        Bases(*(size - left for size, left in zip(sizes, bare, strict=True))),
        settings.max_attribute_length,
        settings.privacy_mode,
        names_project=settings.project_name is None,
        names_person=settings.distinct_id is not None,
    )
