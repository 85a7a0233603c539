"""Where an import is done: on this machine, or on a Dask cluster, which is imported only then."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.cluster.client import Cluster
    from importer.deliver.backfill import Backfill
    from importer.plan.counter import Counter
    from importer.plan.plan import Plan
    from importer.settings import Settings


def connected(scheduler: str | None) -> AbstractContextManager[Cluster | None]:
    """The cluster of a scheduler, None without one.

    Raises:
        UsageError: on entering, as :func:`importer.cluster.client.cluster_at`.
    """
    if scheduler is None:
        return nullcontext()
    from importer.cluster.client import cluster_at

    return cluster_at(scheduler)


def counter_on(cluster: Cluster | None, settings: Settings, now_ms: int) -> Counter | None:
    """What counts files on the cluster; None where this machine does."""
    if cluster is None:
        return None
    from importer.build.events import estimator
    from importer.cluster.count import ClusterCounter

    return ClusterCounter(cluster, settings, estimator(settings), now_ms)


def backfill_on(cluster: Cluster | None, plan: Plan, settings: Settings) -> Backfill:
    """What delivers a plan: this machine, or the cluster."""
    if cluster is None:
        from importer.deliver.backfill import Backfill

        return Backfill(plan, settings)
    from importer.cluster.backfill import ClusterBackfill

    return ClusterBackfill(plan, settings, cluster)
