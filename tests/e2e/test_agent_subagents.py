"""Subagents of the real agent, started by published extensions: their calls arrive once, at their price."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent.install import AgentInstallError, install
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage
from tests.agent.subagents import AGENT_VERSION, SUBAGENT_STORIES, Cast, Company, Part
from tests.e2e.received import Importer, assert_clean, entries, of_kind, total
from tests.posthog_server import PostHogServer

# Sessions and other .jsonl files that a story leaves in pi's session folder.
LEAVES = {"old": (6, 0), "new": (6, 5), "other": (3, 0)}


def call_of(generation: dict[str, Any]) -> tuple[str, int, int]:
    return generation["$ai_model"], generation["$ai_input_tokens"], generation["$ai_output_tokens"]


@dataclass
class Told:
    """A story that was told, and what came of its sessions an hour later."""

    company: Company
    server: PostHogServer
    summary: dict[str, Any]

    def __getitem__(self, kind: str) -> list[dict[str, Any]]:
        """The properties of the `generation`, `span`, `run` or `trace` events."""
        return of_kind(self.server.accepted, kind)

    def part(self, generation: dict[str, Any]) -> Part:
        """Who really made a call."""
        return self.company.model.parts[call_of(generation)]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """Every story, told and imported once; most of it is waiting, so two at a time."""
    with ExitStack() as homes, ThreadPoolExecutor(max_workers=2) as tellers:

        def tell(name: str, home: Path) -> Told:
            extension, story = SUBAGENT_STORIES[name]
            with Cast() as model:
                sandbox = homes.enter_context(Sandbox(model.base_url, model.api_key))
                company = Company(extension, model, Stage(install(AGENT_VERSION), model, sandbox))
                company.prepare()
                story(company)
            assert model.left() == []
            with PostHogServer() as server:
                summary = Importer(home).backfill(server, sandbox.sessions, hours_later=1)
            return Told(company, server, summary)

        homes.callback(tellers.shutdown, cancel_futures=True)
        order = ("new", "old", "other")
        yield {name: tellers.submit(tell, name, tmp_path_factory.mktemp(name)) for name in order}


@pytest.fixture(params=SUBAGENT_STORIES)
def story(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def told(story: str, stories: dict[str, Future[Told]]) -> Told:
    try:
        return stories[story].result()
    except AgentInstallError as error:
        pytest.fail(f"the agent or its extension cannot be installed: {error}", pytrace=False)


def test_it_left_what_it_is_about(told: Told, story: str) -> None:
    written = told.company.sandbox.session_files()
    sessions = [path for path in written if entries(path)[0].get("type") == "session"]
    assert (len(sessions), len(written) - len(sessions)) == LEAVES[story]
    assert told.summary["sessions"] == len(sessions)


def test_every_call_that_was_served_arrives_once_and_nothing_else(told: Told) -> None:
    assert_clean(told.server)
    assert Counter(call_of(g) for g in told["generation"]) == told.company.model.served
    assert told.summary["failed"] == 0


def test_the_totals_are_the_money_that_was_spent(told: Told) -> None:
    spent = told.company.model.spent_usd
    assert spent > 0
    assert total(told["generation"], "$ai_total_cost_usd") == pytest.approx(spent, rel=1e-9)
    assert told.summary["cost_usd"] == pytest.approx(spent, rel=1e-9)
    assert total(told["trace"], "$ai_total_cost_usd") == pytest.approx(spent, rel=1e-9)


def test_everything_that_a_subagent_did_names_it(told: Told) -> None:
    agents = {g["$ai_session_id"]: told.part(g).agent for g in told["generation"]}
    for event in told["generation"] + told["span"] + told["run"] + told["trace"]:
        agent = agents[event["$ai_session_id"]]
        assert event["$ai_agent_name"] == (f"shop/{agent}" if agent else "shop")


def test_a_subagents_calls_name_the_session_that_started_it(told: Told, story: str) -> None:
    sessions = {g["$ai_input_tokens"]: g["$ai_session_id"] for g in told["generation"]}
    for generation in told["generation"]:
        asked_by = told.part(generation).asked_by
        is_told = asked_by is not None and story != "other"  # that extension's file and path name no parent
        assert generation.get("$ai_parent_session_id") == (sessions[asked_by] if is_told else None)


def test_a_subagents_run_hangs_below_the_tool_call_that_started_it(told: Told, story: str) -> None:
    calls = {g["$ai_input_tokens"]: g["$ai_span_id"] for g in told["generation"]}
    tools = {s["$ai_parent_id"]: s["$ai_span_id"] for s in told["span"] if s["$ai_span_name"] == "subagent"}
    started = {g["$ai_trace_id"]: told.part(g).asked_by for g in told["generation"]}
    assert {trace["$ai_trace_id"] for trace in told["trace"]} == started.keys()
    for trace in told["trace"]:
        asked_by = started[trace["$ai_trace_id"]]
        is_told = asked_by is not None and story != "other"
        assert trace.get("$ai_parent_id") == (tools[calls[asked_by]] if is_told else None)
    latencies = {trace["$ai_trace_id"]: trace["$ai_latency"] for trace in told["trace"]}
    hang_below = {trace["$ai_trace_id"] for trace in told["trace"] if "$ai_parent_id" in trace}
    for run in told["run"]:
        own = run["$ai_trace_id"]
        assert run.get("$ai_latency") == (latencies[own] if own in hang_below else None)
