"""The ``$identify`` that makes a person of a configured distinct id: AI events alone make none."""

from __future__ import annotations

from importer.build.event import Event
from importer.build.properties import encode_event, shared_properties
from importer.settings import Settings
from parsers.identity import derive

IDENTIFY_MS = 1_735_689_600_000  # stands for the time of an event that is only planned


def make_identify_event(settings: Settings, at_ms: int = IDENTIFY_MS) -> Event | None:
    """Return the ``$identify`` without which PostHog makes no person; None where no distinct id is set.

    Its time in ms is when it is first sent, as the ledger knows. A plan, of uuids and sizes, names none.
    """
    person = settings.distinct_id
    if person is None:
        return None
    uuid = derive("identify", person)
    properties = {"$set": {"email": person} if _is_email(person) else {}, **shared_properties(settings)}
    head = encode_event("$identify", uuid, person, at_ms, properties)
    return Event("$identify", uuid, at_ms, "", head)


def _is_email(text: str) -> bool:
    name, at, domain = text.rpartition("@")
    return bool(name and at and "." in domain.strip(".")) and not any(c.isspace() for c in text)
