"""What PostHog's LLM analytics screens make of events: its rules, as its newest source has them (2026-11).

Sources: the queries of its traces list and trace page (``traces_query_runner``, ``trace_query_runner``), its
sessions screen, the tree and titles of the trace page, and its docs on data retention. Nothing here knows how
the importer makes events.

Example:
    >>> shown = PostHogScreens(events)
    >>> shown.trace_latency_s(trace_id)
    2.41
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

CONTENT = (
    "$ai_input",
    "$ai_output",
    "$ai_output_choices",
    "$ai_input_state",
    "$ai_output_state",
    "$ai_tools",
)
CONTENT_DAYS = 30
REFUSED_IDS = frozenset(
    (
        *("anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email"),
        *("undefined", "true", "false", "null", "none", "nan", "0", "[object object]"),
    )
)
_SHOWN = ("$ai_generation", "$ai_span", "$ai_embedding")

Event = dict[str, Any]


class Node(NamedTuple):
    """A node of a trace's tree: its event, and those below it."""

    event: Event
    children: list[Node]

    def walk(self) -> Iterable[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class PostHogScreens:
    """PostHog's screens over some events, each as it was sent.

    Args:
        events: the events in the order of their arrival; a resend stands there twice.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self._traces: dict[str, list[Event]] = defaultdict(list)
        self._sessions: dict[str, list[Event]] = defaultdict(list)
        self._persons: dict[str, Event] = {}
        for event in events:
            properties = event["properties"]
            if event["event"] == "$identify":
                self._persons[event["distinct_id"]] = properties.get("$set", {})
            if "$ai_trace_id" in properties:
                self._traces[properties["$ai_trace_id"]].append(event)
                self._sessions[properties["$ai_session_id"]].append(event)

    @property
    def trace_ids(self) -> list[str]:
        """The traces of the list."""
        return list(self._traces)

    @property
    def session_ids(self) -> list[str]:
        """The sessions of the list."""
        return list(self._sessions)

    def trace_latency_s(self, trace_id: str) -> float:
        """The latency of a trace, in seconds: every copy of an event counts."""
        events = self._traces[trace_id]
        timed = [event for event in events if _latency_s(event) > 0]
        if timed and all(event["event"] == "$ai_generation" for event in timed):
            return sum(map(_latency_s, timed))
        at_the_top = (
            event for event in events if event["properties"].get("$ai_parent_id") in (None, trace_id)
        )
        return sum(map(_latency_s, at_the_top))

    def trace_cost_usd(self, trace_id: str) -> float:
        """The cost of a trace in US dollars: the sum over its generations, every copy counts."""
        return _cost_usd(self._traces[trace_id])

    def session_latency_s(self, session_id: str) -> float:
        """The latency of a session: that of each trace's own event, else the sum over the trace's others."""
        total = 0.0
        for events in _by_trace(self._sessions[session_id]).values():
            own = [event for event in events if event["event"] == "$ai_trace"]
            total += sum(map(_latency_s, own or events))
        return total

    def session_cost_usd(self, session_id: str) -> float:
        """The cost of a session in US dollars: the sum over its generations."""
        return _cost_usd(self._sessions[session_id])

    def tree(self, trace_id: str) -> list[Node]:
        """The tree of a trace: an event stands below the span or generation that it names as its parent."""
        unique = {event["uuid"]: event for event in self._traces[trace_id] if event["event"] in _SHOWN}
        nodes = {event["properties"]["$ai_span_id"]: Node(event, []) for event in unique.values()}
        top = []
        for node in nodes.values():
            parent = nodes.get(node.event["properties"].get("$ai_parent_id"))
            (top if parent is None else parent.children).append(node)
        return top

    def orphans(self, trace_id: str) -> list[Event]:
        """The events whose parent is neither the trace nor in it: they are shown at the top."""
        named = (node.event for node in self.tree(trace_id))
        return [event for event in named if event["properties"].get("$ai_parent_id") not in (None, trace_id)]

    def person(self, distinct_id: str) -> Event | None:
        """The properties of a person; None where nobody appears: AI events make no persons."""
        return self._persons.get(distinct_id)


def title(event: Event) -> str:
    """The title of a node of the tree."""
    properties = event["properties"]
    if properties.get("$ai_span_name"):
        return str(properties["$ai_span_name"])
    if event["event"] == "$ai_generation":
        return f"{properties.get('$ai_model')} ({properties.get('$ai_provider')})"
    return "Span" if event["event"] == "$ai_span" else "Trace"


def kept_content(event: Event, arrived: datetime) -> dict[str, Any]:
    """What is left of an event's content: nothing, where the event is older than 30 days on its arrival."""
    age = arrived - datetime.fromisoformat(event["timestamp"])
    if age.days >= CONTENT_DAYS:
        return {}
    return {name: event["properties"][name] for name in CONTENT if event["properties"].get(name) is not None}


def takes_id(distinct_id: str) -> bool:
    """Whether PostHog takes a distinct id as a person's."""
    return bool(distinct_id.strip()) and distinct_id.lower() not in REFUSED_IDS and len(distinct_id) <= 200


def _by_trace(events: Iterable[Event]) -> dict[str, list[Event]]:
    traces: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        traces[event["properties"]["$ai_trace_id"]].append(event)
    return traces


def _cost_usd(events: Iterable[Event]) -> float:
    return sum(
        event["properties"].get("$ai_total_cost_usd") or 0.0
        for event in events
        if event["event"] == "$ai_generation"
    )


def _latency_s(event: Event) -> float:
    return float(event["properties"].get("$ai_latency") or 0.0)
