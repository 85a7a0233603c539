"""A failure that passes is tried again, after a wait that a stop or Ctrl-C ends."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
import urllib3.util.retry

from importer.deliver.delivery import Delivery
from importer.deliver.retry import RetryPolicy, parse_retry_after
from importer.errors import DeliveryError, DeliveryStoppedError
from tests.delivering import (
    KEY,
    accepted,
    envelope,
    send,
    uuids,
)
from tests.posthog_server import Fault

# Trying again


@pytest.mark.parametrize("status", [408, 425, 429, *range(500, 512), *range(520, 531), 550, 598, 599])
def test_a_passing_refusal_is_tried_again_with_the_same_body(server, clock, status):
    server.faults = [Fault(status=status), Fault(status=status)]
    retries = []
    counters = send(server, envelope(), clock=clock, on_retry=lambda *facts: retries.append(facts))
    assert len({request.packed for request in server.requests}) == 1
    assert (counters.requests, counters.retries, counters.delivered) == (3, 2, 1)
    assert [reason.endswith(f"answered {status}") for reason, _ in retries] == [True, True]
    assert clock.slept == pytest.approx(sum(wait_s for _, wait_s in retries))
    assert 0.75 <= clock.slept <= 1.5


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_in_both_forms(server, clock, form, monkeypatch):
    monkeypatch.setattr(urllib3.util.retry, "time", SimpleNamespace(time=lambda: clock.now))
    when = format_datetime(datetime.fromtimestamp(clock.now + 17, UTC), usegmt=True)
    server.faults = [Fault(status=429, headers={"Retry-After": "17" if form == "seconds" else when})]
    send(server, envelope(), clock=clock)
    assert 16 <= clock.slept <= 17.3
    assert len(server.accepted) == 1


def test_retry_after_is_capped_at_five_minutes(server, clock):
    server.faults = [Fault(status=503, headers={"Retry-After": "86400"})]
    send(server, envelope(), clock=clock)
    assert clock.slept == pytest.approx(300)


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-5", "1.5e9", "Mon, 99 Foo 2025 00:00:00 GMT", "٣", "9" * 5000]
)
def test_a_retry_after_that_says_nothing_is_ignored(value):
    assert parse_retry_after(value) is None


def test_a_retry_after_date_in_the_past_is_no_wait():
    assert parse_retry_after("Mon, 01 Jan 2024 00:00:00 GMT") == 0.0


def test_waits_double_up_to_the_limit_and_half_of_each_is_random():
    policy = RetryPolicy(first_s=1.0, max_s=10.0)
    for failures, ceiling in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (5000, 10.0)):
        waits = {policy.wait_s(failures) for _ in range(50)}
        assert ceiling / 2 <= min(waits) < max(waits) <= ceiling


def test_a_reset_before_the_answer_is_tried_again(server, clock):
    server.faults = [Fault(reset="before")]
    counters = send(server, envelope(), clock=clock)
    assert (counters.retries, len(server.accepted), server.duplicates) == (1, 1, 0)


def test_a_reset_after_the_server_took_the_events_sends_the_same_envelopes(server, clock):
    server.faults = [Fault(reset="after")]
    remembered = []
    sent = [envelope() for _ in range(3)]
    send(server, *sent, clock=clock, on_delivered=lambda batch: remembered.extend(uuids(batch)))
    assert (len(server.accepted), server.duplicates) == (3, 3)
    assert remembered == uuids(sent)


def test_a_server_that_is_away_ends_in_one_line_after_the_last_try(clock):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sender = Delivery(host=host, api_key=KEY, clock=clock, sleep=clock.sleep, retry=RetryPolicy(attempts=3))
    sender.add(envelope())
    with pytest.raises(DeliveryError) as gave_up:
        sender.flush()
    sender.close()
    message = str(gave_up.value)
    assert "after 3 tries" in message
    assert "no answer" in message
    assert "run the same command again" in message
    assert "\n" not in message
    assert sender.counters.requests == 3


def test_what_was_delivered_before_giving_up_was_remembered(server, clock):
    server.faults = [Fault(), *[Fault(status=503)] * 6]
    remembered = []
    with pytest.raises(DeliveryError, match=r"after 6 tries: http://127\.0\.0\.1:\d+ answered 503"):
        send(
            server,
            *[envelope() for _ in range(501)],
            clock=clock,
            on_delivered=lambda batch: remembered.extend(uuids(batch)),
        )
    assert remembered == accepted(server)
    assert len(remembered) == 500


# Stopping


@pytest.mark.parametrize("when", ["before", "during"])
def test_the_stop_flag_ends_a_wait_within_a_second(server, when):
    server.faults = [Fault(status=503, headers={"Retry-After": "60"})] * 3
    stop = threading.Event()
    remembered = []
    timer = threading.Timer(0.3, stop.set)
    if when == "before":
        stop.set()
    else:
        timer.start()
    began = time.monotonic()
    with pytest.raises(DeliveryStoppedError, match="run the same command again"):
        send(
            server,
            envelope(),
            clock=time.time,
            stop=stop,
            on_delivered=remembered.append,
        )
    assert time.monotonic() - began < 1.3
    assert len(server.requests) == (0 if when == "before" else 1)
    assert remembered == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("fault", [Fault(status=503, headers={"Retry-After": "60"}), Fault(delay_s=30)])
def test_ctrl_c_ends_a_wait_or_a_request_within_a_second(server, fault):
    server.faults = [fault]
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            send(server, envelope(), clock=time.time)
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, previous)
    assert time.monotonic() - began < 1.3
    assert len(server.requests) == 1
