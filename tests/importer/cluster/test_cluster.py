"""What a Dask cluster is told and asked, without one."""

from __future__ import annotations

import pickle

import pytest

from importer.build.events import estimator
from importer.cluster.backfill import _shared_out
from importer.cluster.count import ClusterCounter
from importer.cluster.messages import Sealed, Share
from importer.cluster.work import _pace
from importer.errors import UsageError
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from parsers.counting.rows import CountedFile, CountedFiles
from tests.building import NOW_MS
from tests.command import SAMPLES


class Blind:
    """A cluster whose workers see no file."""

    def __init__(self):
        self.asked = []

    def threads(self):
        return {"tcp://w": 1}

    def submit(self, task, work, workers=None):
        files, settings, *_ = work
        assert settings.api_key is None
        return [file.path for file in files]

    def result(self, paths):
        return CountedFiles(files=[CountedFile(error="No such file or directory") for _ in paths])


def test_files_that_only_this_machine_sees_end_it_with_advice():
    settings = Settings(api_key="phc_secret")
    counter = ClusterCounter(Blind(), settings, estimator(settings), NOW_MS)
    with pytest.raises(UsageError, match="a folder that all machines share, or into a bucket"):
        list(counter.count(find_sessions([SAMPLES]).sessions))


def test_what_dask_carries_shows_nothing_of_itself():
    share = Share("run", "1", [], Settings(), "phc_secret", NOW_MS)
    assert "phc_secret" not in repr(share)
    sealed = pickle.loads(pickle.dumps(Sealed(share)))
    assert repr(sealed) == f"<{len(pickle.dumps(share, pickle.HIGHEST_PROTOCOL))} bytes>"
    assert sealed.open() == share


def test_work_of_another_version_is_refused(monkeypatch):
    sealed = Sealed("work")
    monkeypatch.setattr("importer.cluster.messages.own_version", lambda: "99.9")
    with pytest.raises(UsageError, match=r"another version of pi2posthog \(99\.9\)"):
        sealed.open()


@pytest.mark.parametrize(
    ("per_minute", "workers", "each"),
    [(None, None, None), (10_000, ["a", "b", "c"], 3333), (3, ["a", "b", "c"], 1), (2, ["a", "b"], 1)],
)
def test_the_events_a_minute_are_shared_out_over_the_workers(per_minute, workers, each):
    assert _shared_out(per_minute, {"c": 2, "a": 1, "b": 8}) == (workers, each)


def test_tasks_of_a_run_share_a_pace_that_begins_empty():
    pace = _pace("run", 600)
    assert _pace("run", 600) is pace
    assert _pace("another run", 600) is not pace
    assert pace.reserve(1) > 0
