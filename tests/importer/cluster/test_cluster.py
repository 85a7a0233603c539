"""The client's and the worker's side of a Dask cluster, without a cluster."""

from __future__ import annotations

import pickle

import pytest

from importer.build.estimate import make_estimator
from importer.cluster.backfill import _split_rate
from importer.cluster.count import ClusterCounter
from importer.cluster.messages import Parcel, Share
from importer.cluster.work import _get_pace
from importer.errors import UsageError
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from parsers.counting.rows import CountedFile, CountedFiles
from tests.building import NOW_MS
from tests.command import SAMPLES


class BlindCluster:
    """A fake cluster whose workers cannot read any file."""

    def __init__(self):
        self.asked = []

    def count_threads(self):
        return {"tcp://w": 1}

    def submit(self, task, work, workers=None):
        files, settings, *_ = work
        assert settings.api_key is None
        return [file.path for file in files]

    def result(self, paths):
        return CountedFiles(files=[CountedFile(error="No such file or directory") for _ in paths])


def test_files_that_only_this_machine_can_read_end_the_count_with_advice():
    settings = Settings(api_key="phc_secret")
    counter = ClusterCounter(BlindCluster(), settings, make_estimator(settings), NOW_MS)
    with pytest.raises(UsageError, match="a folder that all machines share, or into a bucket"):
        list(counter.count(find_sessions([SAMPLES]).sessions))


def test_a_parcel_shows_only_its_size_and_opens_to_its_content():
    share = Share("run", "1", [], Settings(), "phc_secret", NOW_MS)
    assert "phc_secret" not in repr(share)
    parcel = pickle.loads(pickle.dumps(Parcel(share)))
    assert repr(parcel) == f"<{len(pickle.dumps(share, pickle.HIGHEST_PROTOCOL))} bytes>"
    assert parcel.open() == share


def test_a_parcel_of_another_version_does_not_open(monkeypatch):
    parcel = Parcel("work")
    monkeypatch.setattr("importer.cluster.messages.own_version", lambda: "99.9")
    with pytest.raises(UsageError, match=r"another version of pi2posthog \(99\.9\)"):
        parcel.open()


@pytest.mark.parametrize(
    ("per_minute", "workers", "each"),
    [(None, None, None), (10_000, ["a", "b", "c"], 3333), (3, ["a", "b", "c"], 1), (2, ["a", "b"], 1)],
)
def test_a_limit_of_events_a_minute_is_split_over_the_workers(per_minute, workers, each):
    assert _split_rate(per_minute, {"c": 2, "a": 1, "b": 8}) == (workers, each)


def test_tasks_of_a_run_share_a_pace_that_starts_empty():
    pace = _get_pace("run", 600)
    assert _get_pace("run", 600) is pace
    assert _get_pace("another run", 600) is not pace
    assert pace.reserve(1) > 0
