"""No more requests are under way at once than asked for, and one thread does all the rest."""

from __future__ import annotations

import threading
import time

import pytest

from importer.errors import DeliveryError
from tests.delivering import Clock, accepted, delivery, envelope, send, uuids
from tests.posthog_server import Fault
from tests.watching import eventually


def test_everything_arrives_once_and_is_remembered_in_one_thread(server):
    sent = [envelope() for _ in range(5200)]
    server.faults = [Fault(delay_s=0.2), Fault(), Fault(delay_s=0.1)]
    remembered, threads = [], set()

    def remember(batch):
        threads.add(threading.get_ident())
        remembered.extend(uuids(batch))

    counters = send(server, *sent, parallel=4, on_delivered=remember)
    assert sorted(remembered) == sorted(accepted(server)) == sorted(uuids(sent))
    assert threads == {threading.get_ident()}
    assert (counters.delivered, counters.requests, server.duplicates) == (5200, 11, 0)
    assert 1 < server.connections <= 4


def test_as_many_requests_as_asked_for_are_under_way_and_no_more_events_are_built(server):
    server.faults = [Fault(delay_s=1.0)] * 3
    built = []

    class Noting:
        def __init__(self):
            self._event = envelope()

        def __getattr__(self, name):
            return getattr(self._event, name)

        def pieces(self, limit):
            built.append(self.uuid)
            return self._event.pieces(limit)

    seen = []

    def remember(_batch):
        seen.append((len(server.requests), len(built)))

    with delivery(server, parallel=3, on_delivered=remember) as sender:
        for _ in range(2501):
            sender.add(Noting())
    requests, events = seen[0]
    assert requests == 3
    assert events == 1500, "the fourth batch is built after the first yes was remembered"


def test_a_yes_is_remembered_while_others_are_still_waited_for(server):
    server.faults = [Fault(delay_s=30), Fault()]
    remembered = []
    with delivery(server, parallel=2, on_delivered=remembered.extend) as sender:
        for _ in range(1001):
            sender.add(envelope())
        eventually(lambda: len(server.accepted) == 500, "the second request")
        eventually(lambda: sender.add(envelope()) or len(remembered) == 500, "its yes", 10)
        server.stopping.set()


def test_a_refusal_stops_all_and_what_was_under_way_is_remembered(server):
    server.faults = [Fault(delay_s=0.6), Fault(status=401, delay_s=0.2), Fault(status=503)]
    remembered = []
    with pytest.raises(DeliveryError, match="401"):
        send(
            server,
            *[envelope() for _ in range(5000)],
            parallel=3,
            clock=Clock(),
            sleep=time.sleep,
            on_delivered=lambda batch: remembered.extend(uuids(batch)),
        )
    assert sorted(remembered) == sorted(accepted(server))
    assert len(remembered) == 500
    assert len(server.requests) <= 5, "three, and what was tried again before the answer"


def test_a_request_without_an_answer_does_not_hold_up_the_end(server):
    server.faults = [Fault(delay_s=60), Fault(status=403)]
    began = time.monotonic()
    with pytest.raises(DeliveryError, match="403"):
        send(server, *[envelope() for _ in range(1001)], parallel=2)
    assert time.monotonic() - began < 4


def test_an_interrupt_keeps_what_is_acknowledged_within_moments(server):
    server.faults = [Fault(delay_s=0.5), Fault(delay_s=60), Fault(status=503, headers={"Retry-After": "60"})]
    remembered = []

    def interrupted():
        with delivery(server, parallel=4, sleep=time.sleep, on_delivered=remembered.extend) as sender:
            for _ in range(1501):
                sender.add(envelope())
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 4
    assert sorted(uuids(remembered)) == sorted(accepted(server))
    assert len(remembered) == 500


def test_an_interrupt_while_remembering_has_it_remembered_again(server):
    calls = []

    def remember(batch):
        calls.append(uuids(batch))
        if len(calls) == 1:
            raise KeyboardInterrupt

    sent = envelope()
    with pytest.raises(KeyboardInterrupt):
        send(server, sent, parallel=2, on_delivered=remember)
    assert calls == [[sent.uuid]] * 2


def test_nothing_more_is_sent_when_remembering_fails(server):
    def fail(_batch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        send(server, *[envelope() for _ in range(9000)], parallel=2, on_delivered=fail)
    assert len(server.requests) <= 3


def test_retries_are_reported_in_the_callers_thread_and_counted(server):
    server.faults = [Fault(status=503, headers={"Retry-After": "0"})] * 3
    told = []
    counters = send(
        server,
        *[envelope() for _ in range(1500)],
        parallel=3,
        sleep=time.sleep,
        on_retry=lambda reason, wait_s: told.append(threading.get_ident()),
    )
    assert told == [threading.get_ident()] * 3
    assert (counters.requests, counters.retries) == (6, 3)
    assert len({request.packed for request in server.requests}) == 3, (
        "each was tried again with the same bytes"
    )


def test_a_batch_that_is_too_large_is_halved_while_others_go_on(server):
    server.max_ai_event = 100_000
    sent = [envelope() for _ in range(1600)]
    sent[700] = envelope(size=300_000)
    trimmed = []
    send(server, *sent, parallel=3, on_trimmed=lambda item, limit: trimmed.append(item.uuid))
    assert trimmed == [sent[700].uuid]
    assert sorted(accepted(server)) == sorted(uuids(sent))
    assert server.duplicates == 0
