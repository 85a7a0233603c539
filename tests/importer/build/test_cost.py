"""Every generation tells where its cost comes from, in the same way wherever it is counted."""

from __future__ import annotations

import math
import os
import pickle

import pytest

from importer.build.cost import CostRules
from importer.build.estimate import make_estimator
from importer.plan.calls import collect_generations
from importer.plan.counter import PURE, count_files
from importer.plan.plan import make_plan
from importer.plan.report import make_report
from importer.prices import read_prices
from importer.selection import Selection
from importer.sessions.discovery import find_sessions
from importer.settings import Settings, load_settings
from importer.watch.calls import Calls
from importer.watch.tail import Tail
from parsers.counting.row_writer import EventBases, RowWriter
from parsers.counting.rows import COST_BASES, GENERATION, ROW, CountedFiles
from parsers.counting.session import CountingSession, PlainLines
from parsers.records import Generation
from parsers.usage import Usage
from tests.building import NOW_MS, built, properties
from tests.pricing import CALLS, ESTIMATE, NOT_PAID, SETTINGS, TOKENS, write_as_pi, write_calls, write_models
from tests.session_writer import SessionWriter, text

COSTS = ("$ai_total_cost_usd", "$ai_input_cost_usd", "$ai_output_cost_usd", "$ai_cost_passthrough")
BASES = [basis for *_, basis, _ in CALLS.values()]
KNOWN_USD = sum(usd for *_, usd in CALLS.values())


@pytest.fixture
def settings(tmp_path):
    return Settings(**SETTINGS, content_days=None, prices=read_prices(write_models(tmp_path / "agent")))


@pytest.fixture
def path(tmp_path):
    return write_calls(tmp_path / "sessions" / "s.jsonl").path


def sent(path, settings, **more):
    """The properties of the calls of a session, by the prompt that they answer."""
    chosen = {"prices": settings.prices, **SETTINGS, **more}
    return {call["$ai_user_prompt"]: call for call in properties(path, "generation", **chosen)}


def call_of(provider="mine", model="gpt-mine", **usage):
    return Generation(
        id="i",
        trace_id="t",
        window=1,
        end_ms=1,
        copied=False,
        name="chat",
        parent_id="t",
        usage=Usage(**usage),
        provider=provider,
        model=model,
    )


@pytest.mark.parametrize("name", CALLS)
def test_an_event_tells_its_cost_and_the_basis_of_it(path, settings, name):
    call, (*_, basis, usd) = sent(path, settings)[name], CALLS[name]
    assert call["cost_basis"] == basis
    if basis == "unpriced":
        assert call.keys().isdisjoint(COSTS)
        return
    assert call["$ai_total_cost_usd"] == pytest.approx(usd)
    assert call["$ai_input_cost_usd"] + call["$ai_output_cost_usd"] == pytest.approx(usd)
    assert call["$ai_cost_passthrough"] is True


def test_a_call_without_tokens_costs_nothing_and_has_no_basis(path, settings):
    call = sent(path, settings)["no tokens"]
    assert "cost_basis" not in call
    assert [call[name] for name in COSTS] == [0, 0, 0, True]


def test_with_zero_a_cost_that_is_not_known_is_sent_as_0(path, settings):
    calls = sent(path, settings, unpriced="zero")
    for name, (*_, basis, _) in CALLS.items():
        assert calls[name]["cost_basis"] == basis
        assert calls[name]["$ai_cost_passthrough"] is True
        if basis == "unpriced":
            assert [calls[name][each] for each in COSTS[:3]] == [0, 0, 0]


def test_without_models_json_its_models_are_unpriced(path):
    calls = {call["$ai_user_prompt"]: call for call in properties(path, "generation")}
    assert calls["a price in models.json"]["cost_basis"] == "unpriced"
    assert calls["a server in a private network"]["cost_basis"] == "unpriced"
    assert calls["a plan in the settings"]["cost_basis"] == "list"
    assert calls["a server of one's own"]["cost_basis"] == "free"


def test_every_basis_but_the_empty_one_is_tested():
    assert set(BASES) == set(COST_BASES) - {""}


@pytest.mark.parametrize(("prompt", "rates"), [(200_000, (2, 8)), (200_001, (4, 12))])
def test_the_tier_that_the_prompt_exceeds_prices_the_whole_request(settings, prompt, rates):
    call = call_of(input_tokens=1, output_tokens=1000, cache_read_tokens=prompt - 1)
    cost = CostRules(settings).price_call(call)
    expected = (rates[0] * 1 + rates[0] / 10 * (prompt - 1)) / 1e6
    assert (cost.input_usd, cost.output_usd) == (pytest.approx(expected), pytest.approx(rates[1] / 1000))


def test_an_hour_long_cache_write_costs_twice_the_input(settings):
    rules = CostRules(settings)
    short = rules.price_call(call_of(cache_write_tokens=1_000_000))
    long = rules.price_call(call_of(cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000))
    assert (short.usd, long.usd) == (5.0, 8.0)  # above the tier's threshold


@pytest.mark.parametrize("tokens", [2**53 - 1, -5])
def test_damaged_numbers_of_tokens_give_a_finite_cost_of_0_or_more(settings, tokens):
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens"), tokens)
    cost = CostRules(settings).price_call(
        call_of(**usage, cache_write_tokens=7, cache_write_1h_tokens=tokens)
    )
    assert cost.basis == "estimated"
    assert 0 <= cost.usd < math.inf


@pytest.mark.parametrize("usd", [0.0, -1.0])
def test_a_total_of_tokens_alone_is_tokens_too(settings, usd):
    found = CostRules(settings).price_call(call_of("openai", "gpt-x", total_tokens=7, cost_usd=usd))
    assert found == (0.0, 0.0, 0.0, "unpriced")
    assert CostRules(settings).price_call(call_of("openai", "gpt-x", cost_usd=usd)).basis == ""


def test_a_cost_without_tokens_is_still_a_cost(settings):
    assert CostRules(settings).price_call(call_of("openai", "img", cost_usd=0.04)).basis == "list"


def test_a_models_own_work_without_a_provider_is_priced_as_pi_did(settings):
    rules = CostRules(settings)
    assert rules.price_call(call_of(None, None, input_tokens=1, cost_usd=0.1)).basis == "list"
    assert rules.price_call(call_of(None, None, input_tokens=1)).basis == "unpriced"


@pytest.mark.parametrize(
    "pure",
    [
        True,
        pytest.param(False, marks=pytest.mark.skipif(PlainLines is None, reason="no C compiler was there")),
    ],
)
def test_rows_tell_the_same_as_events(path, settings, monkeypatch, pure):
    """A cluster's workers and a worker process count with this function."""
    monkeypatch.setenv(PURE, "1" if pure else "")
    found = count_files(find_sessions([path]).sessions, settings, make_estimator(settings), NOW_MS)
    rows = [row for row in ROW.iter_unpack(found.rows) if row[14] == GENERATION]
    assert [COST_BASES[row[16]] for row in rows] == [*BASES, ""]
    assert [row[8] for row in rows] == pytest.approx([usd for *_, usd in CALLS.values()] + [0.0])


@pytest.mark.skipif(PlainLines is None, reason="no C compiler was there")
def test_compiled_code_leaves_only_estimates_to_feed(tmp_path, settings):
    """Calls of free and unpriced models are as fast as those with a price."""
    story, fed = SessionWriter(tmp_path / "s.jsonl"), {}
    story.user("go")
    for model in ("gpt-new", "gpt-mine"):
        for _ in range(10):
            story.assistant(text("on"), provider="mine", model=model, usage=TOKENS | {"cost": NOT_PAID})
        fed[model] = count_fed_lines(story.path, settings)
    assert fed["gpt-new"] <= 3 < 10 <= fed["gpt-mine"] - fed["gpt-new"]


def count_fed_lines(path, settings):
    """The number of lines of a file that compiled code left to ``feed``."""
    session, fed = CountingSession("message", 60_000), 0
    feed = session.feed

    def count_and_feed(line, *, torn=False):
        nonlocal fed
        fed += 1
        return feed(line, torn=torn)

    session.feed = count_and_feed
    write_as_pi(path)
    session.count([path.read_bytes()], RowWriter(CountedFiles(), {"": 0}, EventBases(), CostRules(settings)))
    return fed


def test_trace_totals_add_known_costs_only(path, settings):
    plan = make_plan(find_sessions([path]), settings, now_ms=NOW_MS, with_totals=True)
    sums = plan.find_totals(0).values()
    assert sum(each.cost_usd for each in sums) == pytest.approx(KNOWN_USD)
    traces = properties(path, "trace", prices=settings.prices, **SETTINGS)
    assert sum(trace["$ai_total_cost_usd"] for trace in traces) == pytest.approx(KNOWN_USD)


def test_a_watcher_builds_the_events_and_totals_of_a_backfill(path, settings):
    tail = Tail(path, settings)
    records = tail.read() + tail.finish(NOW_MS, 0)
    expected = {each.uuid: each.encode() for each in built(path, prices=settings.prices, **SETTINGS)}
    assert {record.id: tail.build_event(record).encode() for record in records} == expected
    activity = tail.describe()
    assert activity.cost_usd == pytest.approx(KNOWN_USD)
    assert activity.unpriced == BASES.count("unpriced")
    assert Calls(settings).sum_all().unpriced == 0


@pytest.mark.parametrize("by", ["session", "day", "project", "model"])
def test_a_report_tells_the_costs_by_basis_and_what_is_unpriced(path, settings, by):
    plan = make_plan(find_sessions([path]), settings, now_ms=NOW_MS)
    report = make_report(plan, settings, by, Selection())
    assert {basis: sums["calls"] for basis, sums in report["cost_by_basis"].items()} == {
        basis: BASES.count(basis) for basis in set(BASES)
    }
    assert report["cost_by_basis"]["estimated"]["cost_usd"] == pytest.approx(
        sum(usd for *_, basis, usd in CALLS.values() if basis == "estimated")
    )
    unknown = {model for _, model, _, basis, _ in CALLS.values() if basis == "unpriced"}
    assert report["unpriced"] == {"calls": BASES.count("unpriced"), "models": sorted(unknown)}
    assert report["unpriced_calls"] == BASES.count("unpriced")
    assert sum(row["unpriced_calls"] for row in report["groups"]) == BASES.count("unpriced")
    assert report["cost_usd"] == pytest.approx(KNOWN_USD)


def test_the_frames_carry_the_basis(path, settings):
    plan = make_plan(find_sessions([path]), settings, now_ms=NOW_MS)
    calls = plan.frame[plan.frame["kind"] == "generation"]
    assert calls["cost_basis"].tolist() == [*BASES, ""]
    assert set(plan.frame[plan.frame["kind"] != "generation"]["cost_basis"]) == {""}
    read = collect_generations(find_sessions([path]).sessions, settings, NOW_MS)
    assert read["cost_basis"].tolist() == [*BASES, ""]
    assert read["cost_usd"].sum() == pytest.approx(KNOWN_USD)


def test_prices_travel_with_the_settings(settings):
    """The workers of a cluster may have no models.json, or another one."""
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings.prices.prices


def test_settings_bring_the_prices_of_pis_agent_folder(tmp_path):
    path = write_models(tmp_path / "agent")
    settings = load_settings(environ={"PI_CODING_AGENT_DIR": str(path.parent), "HOME": str(tmp_path)})
    found = CostRules(settings).price_call(call_of(input_tokens=1_000_000))
    assert (found.usd, found.basis) == (4.0, "estimated")
    assert not (tmp_path / "ran-by-models-json").exists()
    assert not os.path.exists("ran-by-models-json")


def test_an_estimate_is_pis_own_formula(path, settings):
    assert sent(path, settings)["a price in models.json"]["$ai_total_cost_usd"] == pytest.approx(ESTIMATE)
