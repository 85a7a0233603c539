"""No minute has more events or bytes than were asked for, tries included."""

from __future__ import annotations

import time

import pytest

from importer.deliver.delivery import Delivery
from importer.deliver.retry import Pace, make_pace
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


@pytest.mark.parametrize("megabytes", [1, 2, 17, 60, 1000])
def test_no_minute_has_more_bytes_than_asked_for_and_few_are_wasted(megabytes):
    clock, limit = Clock(0.0), megabytes * 1_000_000
    pace = Pace(None, clock, bytes_per_minute=limit)
    sent = []
    while clock.now < 600 and len(sent) < 3000:
        clock.now += pace.reserve(500, pace.most_bytes)
        sent.append(clock.now)
    for start in sent:
        inside = sum(pace.most_bytes for when in sent if start <= when < start + 59.999)
        assert inside <= limit
    assert len(sent) * pace.most_bytes >= 0.45 * limit * clock.now / 60
    assert pace.most == 500


def test_one_large_event_goes_all_the_same_and_what_follows_waits():
    clock = Clock(0.0)
    pace = Pace(None, clock, bytes_per_minute=2_000_000)
    waited_s = pace.reserve(1, 8_000_000)
    assert 0 < waited_s < 500
    clock.now += waited_s
    assert pace.reserve(1, 500_000) == pytest.approx(30)


def test_the_slower_of_both_limits_decides():
    clock = Clock(0.0)
    pace = Pace(600, clock, bytes_per_minute=60_000_000)
    assert pace.reserve(60, 1000) == 0
    assert pace.reserve(9, 1000) == pytest.approx(1)
    clock.now += 60
    pace.reserve(1, 8_000_000)
    assert pace.reserve(1, 10_000_000) > 5


def test_a_pace_that_is_used_up_begins_empty():
    clock = Clock(0.0)
    pace = Pace(600, clock, bytes_per_minute=60_000_000)
    pace.use_up()
    assert pace.reserve(9) == pytest.approx(1)
    assert pace.reserve(0, 1_000_000) > 1


def test_without_a_limit_there_is_no_pace():
    assert make_pace(None, None) is None
    assert make_pace(None, 1_000_000).reserve(10**6, 0) == 0


def test_delivery_makes_its_requests_small_enough_for_the_bytes_of_a_minute(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer(KEY, clock=time.time) as server:
        pace = Pace(None, bytes_per_minute=24_000_000)
        began_s = time.monotonic()
        with Delivery(host=server.url, api_key=KEY, pace=pace, parallel=2) as sender:
            for _ in range(34):
                sender.add(envelope(size=250_000))
        took_s = time.monotonic() - began_s
        assert len(server.accepted) == 34
        assert all(request.raw_size <= pace.most_bytes for request in server.requests)
    assert took_s >= (34 * 250_000 - 8_323_072) / ((24_000_000 - 8_323_072) / 60) * 0.9
