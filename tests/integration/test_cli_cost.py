"""What a user sees of costs that are not pi's: preview, backfill and doctor, with and without models.json."""

from __future__ import annotations

import pytest

from tests.doctoring import find_check, find_line
from tests.pricing import CALLS, write_calls, write_models

PLAN = {"POSTHOG_SUBSCRIPTION_PROVIDERS": "our-plan"}
UNPRICED = sum(basis == "unpriced" for *_, basis, _ in CALLS.values())


@pytest.fixture
def sessions(command):
    return write_calls(command.home / "sessions" / "s.jsonl").path.parent


@pytest.fixture
def models(command):
    return write_models(command.home / ".pi" / "agent")


@pytest.mark.parametrize("by", ["session", "day", "project"])
@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_table_marks_sums_that_leave_calls_out_and_names_their_models(
    command, sessions, models, by, columns
):
    shown = command("preview", sessions, "--by", by, **PLAN, COLUMNS=columns)
    assert (shown.code, shown.err) == (0, "")
    line = f"cost: $0.2879 + {UNPRICED} calls unpriced (away, claude-part, gpt-mine, …)"
    assert line in shown.out.splitlines()
    assert shown.out.count("$0.2879+") == 2  # the row and the total


def test_a_table_without_unpriced_calls_has_no_mark(command, sessions, models):
    for file in sessions.glob("*.jsonl"):
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:3]))  # a header, a prompt and a call with a price
    shown = command("preview", sessions, **PLAN, COLUMNS="200")
    assert "$0.0300" in shown.out
    assert "+" not in shown.out
    assert "unpriced" not in shown.out


def test_a_row_whose_calls_are_all_unpriced_says_so(command, sessions, models):
    shown = command("preview", sessions, "--by", "model", **PLAN, COLUMNS="200")
    (row,) = (line for line in shown.out.splitlines() if line.startswith("gpt-new "))
    assert " unpriced " in row
    assert "$" not in row


def test_json_tells_calls_and_dollars_by_basis(command, sessions, models):
    figures = command("preview", sessions, "--json", **PLAN).json
    assert figures["cost_by_basis"]["list"] == {"calls": 2, "cost_usd": 0.06}
    assert figures["cost_by_basis"]["free"] == {"calls": 6, "cost_usd": 0.0}
    assert figures["unpriced"]["calls"] == figures["unpriced_calls"] == UNPRICED
    assert figures["unpriced"]["models"] == [
        "away",
        "claude-part",
        "gpt-mine",
        "gpt-new",
        "gpt-x",
        "gpt-zero",
    ]


def test_a_remembered_preview_is_counted_again_once_a_price_or_setting_changes(command, sessions):
    costs = [command("preview", sessions, "--json").json["cost_by_basis"] for _ in range(2)]
    assert costs[0] == costs[1]
    write_models(command.home / ".pi" / "agent")
    priced = command("preview", sessions, "--json").json["cost_by_basis"]
    assert priced["estimated"]["calls"] == 3
    assert "estimated" not in costs[0]
    plans = command("preview", sessions, "--json", **PLAN).json["cost_by_basis"]
    assert plans["subscription"]["calls"] == priced["subscription"]["calls"] + 1


def test_a_damaged_models_json_is_one_warning_and_no_prices(command, sessions, models):
    models.write_text('{"providers": {"mine": {"apiKey": "sk-secret", "models": 7}}}')
    shown = command("preview", sessions, "--json", **PLAN)
    assert shown.code == 0
    (line,) = shown.error_lines
    assert line.startswith(f"{models} gives no prices: ")
    assert "sk-secret" not in line
    assert "estimated" not in shown.json["cost_by_basis"]
    checked = command("doctor", sessions, "--json", POSTHOG_HOST="http://127.0.0.1:9")
    assert find_check(checked, "prices")["state"] == "warning"


@pytest.mark.parametrize("unpriced", ["posthog", "zero"])
def test_a_backfill_sends_what_its_figures_say(command, sessions, models, server, unpriced):
    done = command.send(server, sessions, "--json", **PLAN, POSTHOG_UNPRICED=unpriced)
    assert done.code == 0
    calls = [event["properties"] for event in server.accepted if event["event"] == "$ai_generation"]
    assert len(calls) == len(CALLS) + 1
    by_basis = done.json["cost_by_basis"]
    for basis, sums in by_basis.items():
        own = [call for call in calls if call.get("cost_basis") == basis]
        assert len(own) == sums["calls"]
        if basis == "unpriced" and unpriced == "posthog":
            assert all("$ai_total_cost_usd" not in call for call in own)
        else:
            added = sum(call["$ai_total_cost_usd"] for call in own)
            assert added == pytest.approx(sums["cost_usd"])
    assert not (command.home / "ran-by-models-json").exists()


def test_the_summary_of_a_backfill_counts_the_calls_without_a_cost(command, sessions, models, server):
    done = command.send(server, sessions, **PLAN)
    assert f"$0.2879 + {UNPRICED} calls unpriced" in done.out


def test_the_doctor_names_the_prices_and_the_settings(command, sessions, models):
    closed = {"POSTHOG_HOST": "http://127.0.0.1:9", "COLUMNS": "200"}
    shown = find_check(command("doctor", sessions, "--json", **PLAN, **closed), "prices")["found"]
    assert shown == (
        f"2 models in {models}; calls without any are priced by PostHog; "
        "subscriptions: openai-codex, github-copilot, kimi-coding, *-token-plan*, our-plan"
    )
    table = command("doctor", sessions, **PLAN, **closed)
    assert find_line(table, "subscription providers").endswith("our-plan (POSTHOG_SUBSCRIPTION_PROVIDERS)")
    zero = command("doctor", sessions, "--json", POSTHOG_UNPRICED="zero", **closed)
    assert find_check(zero, "prices")["data"] == {"path": str(models), "prices": 2, "unpriced": "zero"}
    assert "sent with a cost of 0" in find_check(zero, "prices")["found"]
    assert find_check(zero, "unpriced")["found"] == "zero (POSTHOG_UNPRICED)"
    models.unlink()
    missing = find_check(command("doctor", sessions, "--json", **closed), "prices")
    assert missing["found"].startswith(f"none at {models}; ")
    assert missing["state"] == "ok"


def test_files_of_credentials_are_never_opened(command, sessions, models):
    """A folder in their place would make any attempt to read them fail loudly."""
    for name in ("auth.json", "credentials.json", "models-store.json"):
        (models.parent / name).mkdir()
    shown = command("preview", sessions, "--json", **PLAN)
    assert (shown.code, shown.err) == (0, "")
