"""A real workday of the real agent, backfilled: what arrives is what happened, at the price that pi names."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent.install import Agent
from tests.agent.mock_model import MockModel
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage
from tests.agent.workday import Workday
from tests.e2e.old_session import write_version_1
from tests.e2e.received import Importer, assert_clean, entries, of_kind, raw_events, total
from tests.posthog_server import PostHogServer

FIGURES = {
    "input": ("input_tokens", "$ai_input_tokens"),
    "output": ("output_tokens", "$ai_output_tokens"),
    "cacheRead": ("cache_read_tokens", "$ai_cache_read_input_tokens"),
    "cacheWrite": ("cache_write_tokens", "$ai_cache_creation_input_tokens"),
}


@dataclass
class Backfilled:
    """A workday, and what came of its sessions: sent at once, an hour later, and once more."""

    day: Workday
    server: PostHogServer
    at_once: dict[str, Any]
    later: dict[str, Any]
    again: dict[str, Any]
    requests_before_again: int

    def __getitem__(self, kind: str) -> list[dict[str, Any]]:
        """The properties of the `generation`, `span`, `run` or `trace` events."""
        return of_kind(self.server.accepted, kind)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Agent], Backfilled]]:
    """Plays and imports the workday of each version once."""
    played: dict[str, Backfilled] = {}
    with ExitStack() as homes:

        def day_of(agent: Agent) -> Backfilled:
            if agent.version not in played:
                with MockModel() as model:
                    sandbox = homes.enter_context(Sandbox(model.base_url, model.api_key))
                    day = Workday(Stage(agent, model, sandbox))
                    day.morning()
                    day.afternoon()
                played[agent.version] = imported(day, tmp_path_factory.mktemp("home"))
            return played[agent.version]

        yield day_of


def imported(day: Workday, home: Path) -> Backfilled:
    importer, sessions = Importer(home), day.stage.sandbox.sessions
    with PostHogServer() as server:
        at_once = importer.backfill(server, sessions)
        later = importer.backfill(server, sessions, hours_later=1)
        requests = len(server.requests)
        again = importer.backfill(server, sessions, hours_later=2)
    return Backfilled(day, server, at_once, later, again, requests)


@pytest.fixture
def backfilled(agent: Agent, days: Callable[[Agent], Backfilled]) -> Backfilled:
    return days(agent)


def test_everything_that_the_script_did_arrives(backfilled: Backfilled) -> None:
    assert_clean(backfilled.server)
    arrived = Counter({f"{kind}s": len(backfilled[kind]) for kind in ("generation", "span", "run", "trace")})
    assert arrived == backfilled.day.done
    assert arrived == {kind: backfilled.later[kind] for kind in arrived}
    assert backfilled.later["sessions"] == 2
    assert backfilled.later["failed"] == 0


def test_the_totals_are_pis_own(backfilled: Backfilled) -> None:
    meter = backfilled.day.meter
    for kind, (figure, name) in FIGURES.items():
        said = meter.tokens[kind]
        assert said > 0
        assert (backfilled.later[figure], total(backfilled["generation"], name)) == (said, said), kind
    assert meter.cost > 0
    assert backfilled.later["cost_usd"] == pytest.approx(meter.cost, rel=1e-9)
    assert total(backfilled["generation"], "$ai_total_cost_usd") == pytest.approx(meter.cost, rel=1e-9)


def test_a_session_that_is_no_fork_costs_what_pi_says_of_it(backfilled: Backfilled) -> None:
    day = backfilled.day
    said = day.stage.stats[day.session]
    (group,) = [g for g in backfilled.later["groups"] if g["path"] == str(day.session)]
    ours = {kind: group[figure] for kind, (figure, _) in FIGURES.items()}
    pis = {kind: said["tokens"][kind] for kind in FIGURES}
    if day.summaries_cost:
        assert ours == pis
        assert group["cost_usd"] == pytest.approx(said["cost"], rel=1e-9)
    else:
        # 0.73.1 no longer counts what it compacted away.
        assert all(pis[kind] <= ours[kind] for kind in FIGURES)
        assert said["cost"] < group["cost_usd"]


def test_the_copies_in_a_fork_are_the_parents(backfilled: Backfilled) -> None:
    fork = backfilled.day.fork
    header, *copied = entries(fork)
    assert sum(entry["timestamp"] < header["timestamp"] for entry in copied) > 10
    (group,) = [g for g in backfilled.later["groups"] if g["path"] == str(fork)]
    assert [group[kind] for kind in ("generations", "spans", "runs", "traces")] == [2, 1, 1, 1]


def test_every_parent_exists(backfilled: Backfilled) -> None:
    generations = {g["$ai_span_id"]: g for g in backfilled["generation"]}
    traces = {trace["$ai_trace_id"] for trace in backfilled["trace"]}
    runs = {run["$ai_span_id"]: run["$ai_trace_id"] for run in backfilled["run"]}
    assert sorted(runs.values()) == sorted(traces)
    assert all(run["$ai_parent_id"] == run["$ai_trace_id"] for run in backfilled["run"])
    assert all(runs[g["$ai_parent_id"]] == g["$ai_trace_id"] for g in generations.values())
    by_parent = Counter(span["$ai_parent_id"] for span in backfilled["span"])
    assert set(by_parent) <= {*generations, *runs}
    for span in backfilled["span"]:
        parent = generations.get(span["$ai_parent_id"])
        assert (parent is None) == (span["$ai_span_name"] in ("user_bash", "compaction"))
        if parent is not None:
            parts = parent["$ai_output_choices"][0]["content"]
            asked = [p["function"]["name"] for p in parts if p["type"] == "function"]
            assert span["$ai_span_name"] in asked
            assert span["$ai_trace_id"] == parent["$ai_trace_id"]


def test_a_trace_has_one_event_which_adds_up_its_calls(backfilled: Backfilled) -> None:
    traces = backfilled["trace"]
    calls = backfilled["generation"]
    assert Counter(trace["$ai_trace_id"] for trace in traces) == Counter({g["$ai_trace_id"] for g in calls})
    for trace in traces:
        own = [g for g in calls if g["$ai_trace_id"] == trace["$ai_trace_id"]]
        assert trace["$ai_total_cost_usd"] == pytest.approx(total(own, "$ai_total_cost_usd"))
        assert trace["$ai_total_output_tokens"] == total(own, "$ai_output_tokens")


def test_only_what_may_still_change_waits_for_a_later_import(backfilled: Backfilled) -> None:
    first, done = backfilled.at_once, backfilled.day.done
    assert (first["generations"], first["spans"]) == (done["generations"], done["spans"])
    # The last run of each of the two sessions may still go on.
    assert done["traces"] - 2 <= first["traces"] <= done["traces"]
    assert backfilled.later["delivered"] == 2 * (done["traces"] - first["traces"])
    assert first["runs"] == first["traces"]


def test_running_it_again_sends_nothing(backfilled: Backfilled) -> None:
    again = backfilled.again
    assert (again["delivered"], again["already_delivered"]) == (0, backfilled.day.done.total())
    assert len(backfilled.server.requests) == backfilled.requests_before_again


def test_a_file_that_pi_migrates_gives_the_same_events(stage: Stage, tmp_path: Path) -> None:
    path = write_version_1(stage.sandbox.sessions / "--home-dev--" / "old.jsonl", stage.sandbox.cwd)
    before = path.read_bytes()
    importer = Importer(tmp_path / "home")
    with PostHogServer() as first, PostHogServer() as second:
        importer.backfill(first, path)
        with stage.run("--session", str(path)):
            pass
        assert path.read_bytes() != before
        header, *migrated = entries(path)
        assert header["version"] == 3
        assert all("id" in entry for entry in migrated)
        assert importer.backfill(first, path)["delivered"] == 0
        importer.backfill(second, path)
    assert len(raw_events(first)) == 5 + 4 + 3 + 3
    assert raw_events(second) == raw_events(first)
