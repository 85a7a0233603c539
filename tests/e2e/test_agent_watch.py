"""`watch` beside the real agent: live gives what a later backfill gives, byte for byte."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.agent.install import Agent
from tests.agent.mock_model import MockModel
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage
from tests.agent.workday import Workday
from tests.command import Finished
from tests.e2e.received import Importer, assert_clean, entries, kind_of, of_kind, raw_events, total
from tests.posthog_server import PostHogServer

SETTLE_S = 2
PATIENCE_S = 60.0


def test_what_arrives_live_is_what_a_later_backfill_sends(agent: Agent, tmp_path: Path) -> None:
    for attempt in range(3):
        with (
            PostHogServer() as live,
            MockModel() as model,
            Sandbox(model.base_url, model.api_key) as sandbox,
        ):
            day = Workday(Stage(agent, model, sandbox))
            finished = watched(day, live, Importer(tmp_path / f"home-{attempt}"))
            sessions = sandbox.session_files()
            if max(map(longest_lull_s, sessions)) >= SETTLE_S / 2:
                continue  # a busy machine: a run may have gone on after its trace was sent
            with PostHogServer() as clean:
                later = Importer(tmp_path / "later").backfill(clean, sandbox.sessions, hours_later=1)
        assert finished.code == 0, finished.err
        assert_clean(live)
        assert differing(raw_events(live), raw_events(clean)) == []
        assert later["events"] == day.done.total()
        assert_adds_up(live, day)
        return
    pytest.fail(f"the machine is too busy: three times a run stood still for {SETTLE_S / 2} s")


def watched(day: Workday, server: PostHogServer, importer: Importer) -> Finished:
    """Play the day while a watcher follows it; end the watcher when everything has arrived."""
    destination = importer.destination(server)
    process = importer.start("watch", "--settle", SETTLE_S, day.stage.sandbox.sessions, **destination)
    try:
        day.morning()
        wait_for(lambda: arrived(server) >= without_traces(day), process, "the morning's calls and spans")
        day.afternoon()
        wait_for(lambda: arrived(server) == day.done, process, f"{dict(day.done)}")
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return importer.stop(process)


def arrived(server: PostHogServer) -> Counter[str]:
    with server.lock:
        return Counter(f"{kind_of(event)}s" for event in server.accepted)


def without_traces(day: Workday) -> Counter[str]:
    return Counter({kind: count for kind, count in day.done.items() if kind not in ("runs", "traces")})


def wait_for(met: Callable[[], bool], process: subprocess.Popen[str], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not met():
        assert process.poll() is None, f"the watcher ended: {process.communicate()[1]}"
        assert time.monotonic() < until, f"did not arrive in {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.05)


def longest_lull_s(path: Path) -> float:
    """The longest time, in a session file, that a run which could have ended there took to go on."""
    longest = 0.0
    before = None
    for entry in entries(path)[1:]:
        message = entry.get("message", {})
        goes_on = entry["type"] == "compaction" or message.get("role") == "assistant"
        queued = message.get("role") == "user" and message["timestamp"] / 1000 < (before or 0)
        if (goes_on or queued) and before is not None:
            longest = max(longest, seconds(entry) - before)
        if message.get("stopReason") in ("stop", "error", "aborted", "length"):
            before = seconds(entry)
        elif message.get("role") in ("user", "assistant"):
            before = None
    return longest


def differing(live: dict[str, bytes], clean: dict[str, bytes]) -> list[tuple[bytes | None, bytes | None]]:
    return [(live.get(i), clean.get(i)) for i in {**live, **clean} if live.get(i) != clean.get(i)]


def seconds(entry: dict[str, str]) -> float:
    return datetime.fromisoformat(entry["timestamp"]).timestamp()


def assert_adds_up(server: PostHogServer, day: Workday) -> None:
    calls = of_kind(server.accepted, "generation")
    tokens = {
        "input": total(calls, "$ai_input_tokens"),
        "output": total(calls, "$ai_output_tokens"),
        "cacheRead": total(calls, "$ai_cache_read_input_tokens"),
        "cacheWrite": total(calls, "$ai_cache_creation_input_tokens"),
    }
    assert tokens == day.meter.tokens
    assert total(calls, "$ai_total_cost_usd") == pytest.approx(day.meter.cost, rel=1e-9)
