"""What the client of a Dask cluster and the workers say to each other.

The scheduler keeps, below one key for each run, what PostHog acknowledged of each task, batch by batch and
before the next one is sent. So a task that is run again, because its worker died, knows what to leave out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.build.facts import SessionFacts
    from importer.plan.plan import PlannedFile
    from importer.settings import Settings
    from importer.totals import TraceTotals
    from parsers.records import Issue

ROOT = "pi2posthog"
"""The scheduler's metadata below it: run, task, report."""

TOPIC = "pi2posthog"
"""The topic on which tasks say that they began, that there is a report, a retry, or that they ended."""

STOPPED = "stopped"


class Sealed:
    """Something that Dask carries without looking into it, or showing any of it in a log or a dashboard."""

    __slots__ = ("_packed", "_version")

    def __init__(self, content: object) -> None:
        self._version = own_version()
        self._packed = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)

    def __repr__(self) -> str:
        return f"<{len(self._packed)} bytes>"

    def __reduce__(self) -> tuple[Callable[..., Sealed], tuple[str, bytes]]:
        return _sealed, (self._version, self._packed)

    def open(self) -> Any:
        """What is in it.

        Raises:
            UsageError: another version of this program made it.
        """
        if self._version != own_version():
            raise UsageError(
                f"the cluster's workers have another version of pi2posthog ({own_version()}) than "
                f"this machine ({self._version}): install the same one everywhere"
            )
        return pickle.loads(self._packed)  # noqa: S301 - the cluster runs what its clients send anyway


def _sealed(version: str, packed: bytes) -> Sealed:
    sealed = Sealed.__new__(Sealed)
    sealed._version, sealed._packed = version, packed
    return sealed


@lru_cache
def own_version() -> str:
    """The version of this program."""
    from importer import __version__

    return __version__


class WantedFile(NamedTuple):
    """One session of a share.

    Attributes:
        place: its place in the plan.
        facts: what its events share; messages name the file as it is called on the client.
        uuids: the events to send, 16 bytes each.
        totals: the totals of its traces.
    """

    place: int
    planned: PlannedFile
    facts: SessionFacts
    uuids: bytes
    totals: Mapping[str, TraceTotals]


@dataclass(frozen=True)
class Share:
    """What one task sends.

    Attributes:
        run, task: what its reports are kept under.
        files: the sessions; without any, the event that says who the user is is sent.
        settings: as in the plan, without the key.
        now_ms: the moment of the import.
        per_minute: events that this worker may send in a minute, in all tasks of the run.
    """

    run: str
    task: str
    files: Sequence[WantedFile]
    settings: Settings
    api_key: str = field(repr=False)
    now_ms: int
    per_minute: int | None = None


class Note(NamedTuple):
    """A line about an event that was cut, or refused for good."""

    uuid: str
    line: str
    refused: bool


class Report(msgspec.Struct, array_like=True):
    """What PostHog answered since the report before.

    Attributes:
        attempt: which run of the task it is from.
        ids: the events it took, 16 bytes each.
        sizes, costs_usd: bytes of their JSON, and their costs.
        counters: those of the attempt's delivery so far, in the order of their fields.
    """

    attempt: str
    ids: bytes
    sizes: list[int]
    costs_usd: list[float]
    counters: list[int]
    notes: list[Note]


class Done(NamedTuple):
    """How a task ended.

    Attributes:
        reports: all reports, also those of attempts before, packed; the last one is the final one.
        notes: lines about files.
        issues: what was found wrong with files only now, by place in the plan.
        error: why it ended early; STOPPED if nobody waits for it any more.
    """

    reports: list[bytes]
    notes: list[str]
    issues: dict[int, list[Issue]]
    error: str | None


def unpacked(packed: bytes) -> Report:
    """A report as it is kept."""
    return msgspec.msgpack.decode(packed, type=Report)
