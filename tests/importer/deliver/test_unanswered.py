"""What is said of events that may have arrived without an answer."""

from __future__ import annotations

import socket
import threading

import pytest

from importer.deliver import transport
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from tests.delivering import KEY, Delivery, delivery, envelope, send, uuids
from tests.posthog_server import Fault


class Notes:
    """The requests of which nobody knows whether PostHog has their events."""

    def __init__(self):
        self.open = {}

    def __call__(self, envelopes):
        number = len(self.open)
        self.open[number] = uuids(envelopes)
        return lambda: self.open.pop(number)

    @property
    def left(self):
        return sorted(uuid for each in self.open.values() for uuid in each)


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(status=429), Fault(status=408), Fault(status=500)],
    ids=lambda f: f.status,
)
def test_what_was_answered_is_not_in_doubt(server, clock, fault, parallel):
    server.faults = [fault]
    notes = Notes()
    counters = send(server, envelope(), clock=clock, on_request=notes, parallel=parallel)
    assert (counters.unanswered, notes.left) == (0, [])


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("fault", [Fault(reset="after"), Fault(reset="before"), Fault(status=504)], ids=str)
def test_a_try_without_an_answer_counts_its_events_once(server, clock, fault, parallel):
    server.faults = [fault, fault]
    notes = Notes()
    counters = send(server, *[envelope() for _ in range(3)], clock=clock, on_request=notes, parallel=parallel)
    assert (counters.unanswered, counters.delivered, counters.retries) == (3, 3, 2)
    assert notes.left == [], "the last try was answered"


def test_a_timeout_leaves_them_in_doubt(server, clock, monkeypatch):
    monkeypatch.setattr(transport, "_TIMEOUT_S", (1.0, 0.2))
    server.faults = [Fault(delay_s=0.8)] * 2
    notes, sent = Notes(), envelope()
    sender = delivery(server, clock, on_request=notes, retry=RetryPolicy(attempts=2))
    with pytest.raises(DeliveryError, match="timed out"), sender:
        sender.add(sent)
    assert sender.counters.unanswered == 1
    assert notes.left == [sent.uuid]


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_server_that_is_not_there_has_nothing(clock, parallel):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
    notes = Notes()
    sender = Delivery(
        host=host,
        api_key=KEY,
        clock=clock,
        sleep=clock.sleep,
        parallel=parallel,
        retry=RetryPolicy(attempts=2),
        on_request=notes,
    )
    with pytest.raises(DeliveryError), sender:
        sender.add(envelope())
    assert (sender.counters.unanswered, notes.left) == (0, [])


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_is_an_answer(server, clock, status):
    server.faults = [Fault(status=status)]
    notes = Notes()
    sender = delivery(server, clock, on_request=notes)
    with pytest.raises(DeliveryError), sender:
        sender.add(envelope())
    assert (sender.counters.unanswered, notes.left) == (0, [])


def test_what_is_under_way_when_it_stops_is_in_doubt(server, monkeypatch):
    monkeypatch.setattr("importer.deliver.delivery.GRACE_S", 0.2)
    server.faults = [Fault(delay_s=3.0)] * 2
    notes, sent = Notes(), [envelope() for _ in range(2)]
    sender = delivery(
        server, lambda: 2_000_000_000.0, sleep=threading.Event().wait, parallel=2, on_request=notes
    )
    monkeypatch.setattr(sender._workers, "hear", _interrupt)
    with pytest.raises(KeyboardInterrupt), sender:
        _send_one_by_one(sender, sent)
    assert sender.counters.unanswered == 2
    assert notes.left == sorted(uuids(sent))


def _send_one_by_one(sender, envelopes):
    for each in envelopes:
        sender.add(each)
        for lane in sender._queue.lanes():
            sender._queue.end_batch(lane)
    sender.flush()


def _interrupt(*, wait):
    """Stand in for Ctrl-C while requests are under way."""
    if wait:
        threading.Event().wait(0.3)
        raise KeyboardInterrupt
