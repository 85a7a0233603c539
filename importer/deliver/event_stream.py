"""The events of a session as plain data for another process, which gets each message once.

An input holds most of what the one before it held. So messages and the links of their chain get numbers, and
an event says where its input begins and ends (see :mod:`importer.build.joining`).
"""

from __future__ import annotations

from typing import NamedTuple

from importer.build.event import Event, ModelInputJson
from importer.build.joining import EncodedLink, Stretches, make_link

_NONE = -1


class EventData(NamedTuple):
    """One event, with its prompt and links by number.

    Attributes:
        input: the numbers of the system message and of the links before its start and at its end; None for
            no input.
    """

    event: str
    uuid: str
    end_ms: int
    head: bytes
    input: tuple[int, int, int] | None


class EventPart(NamedTuple):
    """Some events of a session, with the messages and links that no part before holds.

    Attributes:
        links: for each, the numbers of the link before it and of its message.
    """

    messages: list[bytes]
    links: list[tuple[int, int]]
    events: list[EventData]


class EventWriter:
    """Makes parts of the events of one session file.

    Attributes:
        size: bytes that wait for :meth:`take`, about.
    """

    def __init__(self) -> None:
        self.size = 0
        self._part = EventPart([], [], [])
        self._messages: dict[int, tuple[int, bytes]] = {}  # by `id`, so the messages must live on
        self._links: dict[EncodedLink, int] = {}

    def add(self, event: Event) -> None:
        """Add an event to the part."""
        numbers = None
        if given := event.input:
            numbers = (
                self._number_message(given.prompt),
                self._number_link(given.start),
                self._number_link(given.end),
            )
        data = EventData(event.event, event.uuid, event.end_ms, event.head, numbers)
        self._part.events.append(data)
        self.size += len(event.head)

    def take(self) -> EventPart:
        """Return what was added since the last time."""
        part, self._part, self.size = self._part, EventPart([], [], []), 0
        return part

    def _number_message(self, json: bytes) -> int:
        known = self._messages.get(id(json))
        if known is None:
            known = self._messages[id(json)] = len(self._messages), json
            self._part.messages.append(json)
            self.size += len(json)
        return known[0]

    def _number_link(self, link: EncodedLink | None) -> int:
        pending = []
        while link is not None and link not in self._links:
            pending.append(link)
            link = link.previous
        number = self._links[link] if link else _NONE
        for step in reversed(pending):
            self._part.links.append((number, self._number_message(step.json)))
            number = self._links[step] = len(self._links)
        return number


class EventReader:
    """Makes events of the parts of one session file.

    Args:
        source: the file, for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._stretches = Stretches()
        self._messages: list[bytes] = []
        self._links: list[EncodedLink] = []

    def read(self, part: EventPart) -> list[Event]:
        """Return the events of the next part."""
        self._messages += part.messages
        for before, message in part.links:
            self._links.append(make_link(self._get_link(before), self._messages[message]))
        return [self._build_event(data) for data in part.events]

    def _build_event(self, data: EventData) -> Event:
        given = None
        if data.input:
            prompt, start, end = data.input
            given = ModelInputJson(
                self._stretches, self._messages[prompt], self._get_link(start), self._get_link(end)
            )
        return Event(data.event, data.uuid, data.end_ms, self._source, data.head, given)

    def _get_link(self, number: int) -> EncodedLink | None:
        return None if number == _NONE else self._links[number]
