"""The messages between the client of a Dask cluster and its workers.

The scheduler keeps a report of each batch that PostHog acknowledged, by run and task, before the next batch
is sent. So a task that runs again because its worker died knows what to leave out.
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
"""The key of our metadata at the scheduler; below it: run, task, report."""

TOPIC = "pi2posthog"
"""The topic on which tasks say that they began, kept a report, retry, or ended."""

STOPPED = "stopped"
"""The error of a task that was cancelled."""


class Parcel:
    """A pickled object that Dask carries without showing any of it in a log or a dashboard.

    Args:
        content: any object that can be pickled.

    Example:
        >>> Parcel({"api_key": "phc_…"})
        <32 bytes>
        >>> Parcel({"api_key": "phc_…"}).open()
        {'api_key': 'phc_…'}
    """

    __slots__ = ("_packed", "_version")

    def __init__(self, content: object) -> None:
        self._version = own_version()
        self._packed = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)

    def __repr__(self) -> str:
        return f"<{len(self._packed)} bytes>"

    def __reduce__(self) -> tuple[Callable[..., Parcel], tuple[str, bytes]]:
        return _restore, (self._version, self._packed)

    def open(self) -> Any:
        """Unpickle the object.

        Raises:
            UsageError: another version of this program packed it.
        """
        if self._version != own_version():
            raise UsageError(
                f"the cluster's workers have another version of pi2posthog ({own_version()}) than "
                f"this machine ({self._version}): install the same one everywhere"
            )
        return pickle.loads(self._packed)  # noqa: S301 - a cluster runs whatever its clients send


def _restore(version: str, packed: bytes) -> Parcel:
    parcel = Parcel.__new__(Parcel)
    parcel._version, parcel._packed = version, packed
    return parcel


@lru_cache
def own_version() -> str:
    """Return the version of this program."""
    from importer import __version__

    return __version__


class WantedFile(NamedTuple):
    """A session file of a share.

    Attributes:
        place: the file's index in the plan.
        planned: the file as the plan knows it, with an absolute path.
        facts: what its events have in common; messages name the file as the client does.
        uuids: ids of the events to send, 16 bytes each.
        totals: the totals of its traces, by trace id; the plan added them up.
        has_content: whether any of the events goes with content.
    """

    place: int
    planned: PlannedFile
    facts: SessionFacts
    uuids: bytes
    totals: Mapping[str, TraceTotals]
    has_content: bool = True


@dataclass(frozen=True)
class Share:
    """The part of a plan that one task sends.

    Attributes:
        run, task: the keys of its reports at the scheduler.
        files: the session files; none means that the task sends the `$identify` event.
        settings: as in the plan, without the API key.
        api_key: the project API key.
        now_ms: the time of the import, in ms since the epoch.
        per_minute: most events a minute that one worker sends in all tasks of the run; None: no limit.
        bytes_per_minute: the same for bytes of JSON.
        identified_ms: the time of the `$identify` event, in ms since the epoch.
    """

    run: str
    task: str
    files: Sequence[WantedFile]
    settings: Settings
    api_key: str = field(repr=False)
    now_ms: int
    per_minute: int | None = None
    bytes_per_minute: int | None = None
    identified_ms: int = 0


class Note(NamedTuple):
    """A line for the user about an event that was cut or refused for good."""

    uuid: str
    line: str
    refused: bool


class Report(msgspec.Struct, array_like=True):
    """What PostHog answered since the last report of the same attempt.

    Attributes:
        attempt: id of the attempt; a task whose worker died is attempted again.
        ids: the events that PostHog took, 16 bytes each.
        sizes: bytes of each event's JSON, in the order of ``ids``.
        counters: the fields of the attempt's :class:`Counters` so far, in their order.
        notes: lines about events that were cut or refused.
    """

    attempt: str
    ids: bytes
    sizes: list[int]
    counters: list[int]
    notes: list[Note]


class ShareResult(NamedTuple):
    """How a task ended.

    Attributes:
        reports: the encoded reports of all attempts; the last one holds what came after the last batch.
        notes: lines about files.
        issues: what was found wrong with files while events were built, by the file's index in the plan.
        error: why the task ended early; STOPPED if it was cancelled.
    """

    reports: list[bytes]
    notes: list[str]
    issues: dict[int, list[Issue]]
    error: str | None


def decode_report(packed: bytes) -> Report:
    """Decode a report from the bytes that the scheduler keeps."""
    return msgspec.msgpack.decode(packed, type=Report)
