"""What a command is asked for: which sessions, which ledger, and on which machines.

Example: what ``pi2posthog preview ~/sessions --since 7d --by day`` asks for. ::

    request = Request(["~/sessions"], since="7d", by="day")
    request.selection()         # Selection(since_ms=…, until_ms=None, project=None)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import UsageError
from importer.places import default_ledger
from importer.quoting import quoted
from importer.selection import Selection, make_selection

if TYPE_CHECKING:
    from importer.cluster.client import Cluster
    from importer.deliver.backfill import Backfill
    from importer.plan.counter import Counter
    from importer.plan.plan import Plan
    from importer.settings import Settings

GROUPINGS = ("session", "day", "project", "model")


@dataclass(frozen=True, slots=True)
class Request:
    """What a command is asked for.

    Attributes:
        paths: session files and folders; none means the agent's own folders.
        origin: the value of ``--from``: an agent, or one more path; None means pi.
        since, until, project: the selection, as the user wrote it.
        by: what a row of the table is, one of :data:`GROUPINGS`.
        limit: the number of rows in the table, 0 for all.
        state: the ledger's file; None means the default.
        scheduler: the address of a Dask cluster that reads and sends; None means this machine.
    """

    paths: Sequence[str | Path] = ()
    origin: str | None = None
    since: str | None = None
    until: str | None = None
    project: str | None = None
    by: str = "session"
    limit: int = 0
    state: Path | None = None
    scheduler: str | None = None

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return self.state or default_ledger()

    def selection(self) -> Selection:
        """Parse the selection, and check the grouping.

        Raises:
            UsageError: a date cannot be read, the period is empty, or there is no such grouping.
        """
        if self.by not in GROUPINGS:
            raise UsageError(f"--by: {quoted(self.by)} is not allowed: use {', '.join(GROUPINGS)}")
        return make_selection(self.since, self.until, self.project)


def connect(scheduler: str | None) -> AbstractContextManager[Cluster | None]:
    """Connect to the cluster of a Dask scheduler; without a scheduler the context manager gives None.

    Raises:
        UsageError: on entering: Dask is not installed, or the scheduler does not answer.
    """
    if scheduler is None:
        return nullcontext()
    from importer.cluster.client import connect_cluster

    return connect_cluster(scheduler)


def choose_counter(cluster: Cluster | None, settings: Settings, now_ms: int) -> Counter | None:
    """Return what counts files on a cluster; None without one: `make_plan` then counts on this machine."""
    if cluster is None:
        return None
    from importer.build.estimate import make_estimator
    from importer.cluster.count import ClusterCounter

    return ClusterCounter(cluster, settings, make_estimator(settings), now_ms)


def choose_backfill(cluster: Cluster | None, plan: Plan, settings: Settings) -> Backfill:
    """Return what delivers a plan: the cluster, or this machine without one."""
    if cluster is None:
        from importer.deliver.backfill import Backfill

        return Backfill(plan, settings)
    from importer.cluster.backfill import ClusterBackfill

    return ClusterBackfill(plan, settings, cluster)
