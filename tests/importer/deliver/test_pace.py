"""No minute has more events than were asked for, tries included."""

from __future__ import annotations

import time

import pytest

from importer.deliver.delivery import Delivery
from importer.deliver.retry import Pace
from tests.delivering import KEY, Clock, envelope
from tests.posthog_server import Fault, PostHogServer


@pytest.mark.parametrize("per_minute", [1, 2, 3, 7, 60, 999, 10_000, 100_000])
def test_no_minute_has_more_events_than_asked_for_and_few_are_wasted(per_minute):
    clock = Clock(0.0)
    pace = Pace(per_minute, clock)
    sent = []
    while clock.now < 600 and len(sent) < 3000:
        clock.now += pace.reserve(pace.most)
        sent.append(clock.now)
    for start in sent:
        inside = sum(pace.most for when in sent if start <= when < start + 59.999)
        assert inside <= per_minute
    assert len(sent) * pace.most >= 0.45 * per_minute * clock.now / 60


def test_what_was_not_used_does_not_pile_up():
    clock = Clock(0.0)
    pace = Pace(600, clock)
    clock.now += 86_400
    assert pace.reserve(pace.most) == 0
    assert pace.reserve(pace.most) == pytest.approx(pace.most / 9)


def test_threads_that_wait_share_the_rate():
    clock = Clock(0.0)
    pace = Pace(600, clock)
    waits = [pace.reserve(60) for _ in range(4)]
    assert waits == pytest.approx([0, 60 / 9, 120 / 9, 180 / 9])


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_delivery_keeps_to_the_rate_and_counts_tries(monkeypatch, parallel):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer(KEY, clock=time.time) as server:
        server.faults = [Fault(status=503, headers={"Retry-After": "0"})]
        began_s = time.monotonic()
        with Delivery(host=server.url, api_key=KEY, pace=Pace(60_000), parallel=parallel) as sender:
            for _ in range(1000):
                sender.add(envelope())
        took_s = time.monotonic() - began_s
        assert len(server.accepted) == 1000
        assert [request.status for request in server.requests].count(503) == 1
    assert took_s >= 2 * 500 / ((60_000 - 500) / 60) * 0.95
