from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field

import pytest

from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError, Pi2PosthogError, UsageError
from importer.ledger.ledger import Ledger
from importer.settings import Settings
from importer.watch import sender as module
from importer.watch.sender import Sender
from tests.posthog_server import Fault, PostHogServer
from tests.watching import eventually, ids

KEY = "phc_test"
QUICK = RetryPolicy(attempts=1000, first_s=0.01, max_s=0.02)


@dataclass
class SmallEvent:
    source: str = "s.jsonl"
    least: int = 0
    event: str = "$ai_generation"
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    end_ms: int = field(default_factory=lambda: round(time.time() * 1000))

    def encode(self) -> bytes:
        when = "2026-11-23T10:00:00.000Z"
        event = {"event": self.event, "distinct_id": "d", "uuid": self.uuid, "timestamp": when}
        return json.dumps({**event, "properties": {"x": "x" * self.least}}).encode()

    @property
    def size(self) -> int:
        return len(self.encode())

    def size_within(self, limit: int) -> int:
        return self.size

    def trimmed(self, limit: int) -> bytes:
        return self.encode()

    def pieces(self, limit: int) -> list[bytes]:
        return [self.encode()]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with PostHogServer(KEY) as server:
        yield server
        assert server.violations == []


@pytest.fixture
def start(server, tmp_path):
    """Start senders; the test's end closes them."""
    running = []

    def started(key=KEY, on_change=lambda: None, retry=QUICK):
        sender = Sender(Settings(host=server.url), key, tmp_path / "ledger", on_change, retry)
        sender.start()
        running.append(sender)
        return sender

    yield started
    for sender in running:
        sender.close(0)


def uuids(events):
    return [event.uuid for event in events]


def test_events_arrive_in_order_and_are_in_the_ledger_once_they_no_longer_wait(start, server, tmp_path):
    sender = start()
    events = [SmallEvent() for _ in range(700)]
    assert all(sender.offer(event, 100) for event in events)
    assert sender.is_pending(events[0].uuid)
    assert sender.drain(60)
    assert ids(server) == uuids(events)
    assert max(request.events for request in server.requests) <= 500
    assert sender.find_delivered(uuids(events)) == set(uuids(events))
    assert not sender.is_pending(events[0].uuid)
    assert (sender.progress.delivered, sender.progress.left) == (700, 0)
    assert sender.progress.last_ms == pytest.approx(time.time() * 1000, abs=60_000)


def test_an_event_that_waits_is_not_queued_again(start, server):
    sender = start()
    event = SmallEvent()
    assert sender.offer(event, 100)
    assert sender.offer(event, 100)
    assert sender.progress.left == 1
    assert sender.drain(60)
    assert (len(server.accepted), server.duplicates) == (1, 0)


def test_a_batch_leaves_when_its_first_event_has_waited_the_linger_time(start, server, monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 0.5)
    sender = start()
    began_s = time.monotonic()
    first, second, third = SmallEvent(), SmallEvent(), SmallEvent()
    sender.offer(first, 0)
    time.sleep(0.2)
    sender.offer(second, 0)
    assert sender.drain(60)
    assert time.monotonic() - began_s >= 0.5
    assert [request.events for request in server.requests] == [2]
    sender.offer(third, 0)
    assert sender.drain(60)
    assert ids(server) == uuids([first, second, third])


def test_a_full_batch_does_not_wait(start, server, monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 3600.0)
    sender = start()
    for _ in range(500):
        sender.offer(SmallEvent(), 0)
    eventually(lambda: len(server.accepted) == 500, "a full batch")


def test_a_full_queue_refuses_and_has_room_again_when_half_of_it_is_gone(start, server, monkeypatch):
    monkeypatch.setattr(module, "CAPACITY", 10)
    server.faults = [Fault(503)] * 10_000
    sender = start()
    taken = [sender.offer(SmallEvent(), 0) for _ in range(12)]
    assert taken == [True] * 10 + [False] * 2
    assert not sender.has_room(0)
    server.faults = []
    assert sender.drain(60)
    assert sender.has_room(0)
    assert sender.offer(SmallEvent(), 0)


def test_the_queue_limits_the_bytes_of_sessions_that_its_events_keep_in_memory(start, server, monkeypatch):
    monkeypatch.setattr(module, "CAPACITY_BYTES", 1000)
    server.faults = [Fault(503)] * 10_000
    sender = start()
    assert sender.offer(SmallEvent("large"), 5000), "alone, a session of any size is taken"
    assert sender.offer(SmallEvent("large"), 5000)
    assert not sender.offer(SmallEvent("small"), 10)
    assert not sender.has_room(10)
    server.faults = []
    assert sender.drain(60)
    server.faults = [Fault(503)] * 10_000
    assert sender.has_room(10**9)
    assert sender.offer(SmallEvent("a"), 600)
    assert sender.offer(SmallEvent("b"), 400)
    assert not sender.offer(SmallEvent("c"), 1)
    eventually(lambda: sender.progress.error, "the first try")
    assert not sender.offer(SmallEvent("c"), 1), "events on their way keep their session in memory, too"


def test_while_posthog_fails_the_state_and_the_ledger_say_why(start, server, tmp_path):
    server.faults = [Fault(503)] * 3
    seen = []
    sender = start(on_change=lambda: seen.append((sender.progress.error, sender.progress.delivered)))
    sender.offer(SmallEvent(), 0)
    assert sender.drain(60)
    eventually(lambda: seen[-1:] == [("", 1)], "the last change")
    assert [error.endswith("answered 503") for error, _ in seen] == [True] * 3 + [False]
    sender.close(60)
    with Ledger.open(tmp_path / "ledger", read_only=True) as ledger:
        (known,) = ledger.describe()
    assert known.last_error.endswith("answered 503")
    assert known.delivered == 1


def test_after_a_lost_answer_the_same_events_are_sent_again(start, server):
    server.faults = [Fault(reset="after")]
    sender = start()
    events = [SmallEvent() for _ in range(3)]
    for event in events:
        sender.offer(event, 0)
    assert sender.drain(60)
    assert (len(server.accepted), server.duplicates) == (3, 3)


def test_an_event_that_posthog_refuses_for_good_does_not_delay_the_others(start, server):
    server.max_ai_lane_event = 2000
    sender = start()
    large, small = SmallEvent(least=5000), SmallEvent()
    for event in (large, small):
        sender.offer(event, 0)
    assert sender.drain(60)
    assert ids(server) == [small.uuid]
    assert (sender.progress.failed, sender.progress.delivered) == (1, 1)
    assert sender.find_delivered([large.uuid, small.uuid]) == {small.uuid}


@pytest.mark.parametrize("status", [401, 400])
def test_a_final_refusal_ends_the_delivery_with_its_status(start, server, status):
    server.faults = [Fault(status, body=b"no")]
    sender = start()
    sender.offer(SmallEvent(), 0)
    eventually(lambda: sender._failure, "the end")
    with pytest.raises(DeliveryError, match=str(status)):
        sender.check()


def test_with_limited_tries_it_gives_up(start, server):
    server.faults = [Fault(503)] * 3
    sender = start(retry=RetryPolicy(attempts=3, first_s=0.01))
    sender.offer(SmallEvent(), 0)
    eventually(lambda: sender._failure, "the end")
    with pytest.raises(DeliveryError, match="Gave up after 3 tries"):
        sender.check()


def test_an_unexpected_error_ends_the_delivery_and_only_its_type_is_named(start, monkeypatch):
    def fail(*_):
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(module.Delivery, "flush", fail)
    sender = start()
    sender.offer(SmallEvent(), 0)
    eventually(lambda: sender._failure, "the end")
    with pytest.raises(Pi2PosthogError, match="RuntimeError") as raised:
        sender.check()
    assert "secret" not in str(raised.value)


def test_closing_delivers_what_waits(start, server, monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 3600.0)
    sender = start()
    events = [SmallEvent() for _ in range(3)]
    for event in events:
        sender.offer(event, 0)
    sender.close(60)
    assert ids(server) == uuids(events)
    sender.check()


def test_closing_gives_up_after_its_timeout(start, server):
    server.faults = [Fault(503, {"Retry-After": "600"})]
    sender = start()
    sender.offer(SmallEvent(), 0)
    eventually(lambda: sender.progress.error, "the first try")
    began_s = time.monotonic()
    sender.close(0.2)
    assert time.monotonic() - began_s < 10
    assert sender.progress.left == 1
    sender.check()


def test_the_ledger_has_one_writer(start, tmp_path):
    with Ledger.open(tmp_path / "ledger"), pytest.raises(UsageError, match="in use by process"):
        start()
    start()


def test_events_that_an_earlier_process_delivered_are_known(start, server):
    first = start()
    events = [SmallEvent() for _ in range(2)]
    first.offer(events[0], 0)
    assert first.drain(60)
    first.close(60)
    assert start().find_delivered(uuids(events)) == {events[0].uuid}
