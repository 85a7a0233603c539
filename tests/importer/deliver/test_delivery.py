"""Events arrive once, in order, in batches within the limits, and each batch is confirmed before the next."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime

import pytest

from importer import __version__
from importer.deliver.batching import MAX_BATCH_EVENTS, MAX_BODY_BYTES
from importer.errors import DeliveryError
from tests.delivering import (
    HOUR_MS,
    KEY,
    Clock,
    SimpleEnvelope,
    accepted,
    body,
    delivery,
    envelope,
    send,
    uuids,
)

# Batches


def test_events_arrive_once_in_order_and_as_they_were_encoded(server):
    sent = [envelope(HOUR_MS) for _ in range(1203)]
    counters = send(server, *sent)
    assert server.accepted == [json.loads(item.encode()) for item in sent]
    assert [request.events for request in server.requests] == [500, 500, 203]
    assert (counters.delivered, counters.requests, counters.retries) == (1203, 3, 0)


def test_one_connection_carries_all_requests(server):
    send(server, *[envelope() for _ in range(2 * MAX_BATCH_EVENTS + 1)])
    assert len(server.requests) == 3
    assert server.connections == 1


def test_no_body_is_over_5_mib_and_full_batches_come_close(server):
    send(server, *[envelope(size=200_000) for _ in range(60)])
    sizes = [request.raw_size for request in server.requests]
    assert max(sizes) <= MAX_BODY_BYTES
    assert len(sizes) == 3
    assert min(sizes[:-1]) > MAX_BODY_BYTES - 200_001


@pytest.mark.parametrize("over", [0, 1])
def test_the_5_mib_count_is_exact_to_the_byte(server, over):
    send(server, envelope(72 * HOUR_MS), envelope(72 * HOUR_MS))
    small = envelope(72 * HOUR_MS).size
    overhead = server.requests[0].raw_size - 2 * small
    fill = MAX_BODY_BYTES - overhead - small + over
    send(server, envelope(72 * HOUR_MS), envelope(72 * HOUR_MS, size=fill, event="not ai"))
    assert [request.raw_size for request in server.requests[1:]][:1] == [
        overhead - 1 + small if over else MAX_BODY_BYTES
    ]
    assert len(server.accepted) == 4


def test_a_wrong_size_does_not_make_a_body_too_large(server):
    class Understated(SimpleEnvelope):
        @property
        def size(self) -> int:
            return 10

    now_ms = int(time.time() * 1000)
    sent = [Understated(str(uuid.uuid4()), "$ai_span", now_ms, "s", 700_000) for _ in range(20)]
    send(server, *sent)
    assert max(request.raw_size for request in server.requests) <= MAX_BODY_BYTES
    assert accepted(server) == uuids(sent)


def test_a_request_is_gzipped_and_says_who_sends_it(server):
    counters = send(server, *[envelope(size=10_000) for _ in range(20)])
    request = server.requests[0]
    assert request.gzip
    assert request.path == "/batch/"
    assert request.headers["User-Agent"] == f"pi2posthog/{__version__}"
    assert request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in request.headers
    assert request.packed[4:8] == bytes(4)  # the gzip header's time
    assert (counters.raw_bytes, counters.gzip_bytes) == (request.raw_size, len(request.packed))
    assert counters.gzip_bytes < counters.raw_bytes / 10


def test_the_body_holds_the_key_and_the_time_of_sending_if_wanted(server, clock):
    send(server, envelope(), clock=clock)
    send(server, envelope(), clock=clock, with_sent_at=False)
    with_time, without = (body(request) for request in server.requests)
    assert with_time["api_key"] == KEY
    assert abs(datetime.fromisoformat(with_time["sent_at"]).timestamp() - clock.now) < 0.002
    assert set(without) == {"api_key", "batch"}


def test_old_and_new_events_never_share_a_batch(server):
    old = [envelope(49 * HOUR_MS) for _ in range(5)]
    new = [envelope(47 * HOUR_MS) for _ in range(5)]
    send(server, *[item for pair in zip(old, new, strict=True) for item in pair])
    assert [(request.historical, request.uuids) for request in server.requests] == [
        (True, uuids(old)),
        (False, uuids(new)),
    ]
    assert "historical_migration" not in body(server.requests[1])


def test_exactly_48_hours_is_not_yet_old(server):
    clock = Clock(1_800_000_000.0)
    server.clock = clock
    edge = envelope()
    edge.end_ms = 1_800_000_000_000 - 48 * HOUR_MS
    older = envelope()
    older.end_ms = edge.end_ms - 1
    send(server, edge, older, clock=clock)
    assert {request.uuids[0]: request.historical for request in server.requests} == {
        edge.uuid: False,
        older.uuid: True,
    }


def test_a_clock_set_back_takes_the_historical_mark_away(server, clock):
    with delivery(server, clock) as sender:
        sender.add(envelope(49 * HOUR_MS))
        clock.now -= 2 * 3600
    assert [request.historical for request in server.requests] == [False]


def test_nothing_to_send_makes_no_request(server):
    send(server)
    assert server.requests == []


# What is remembered


def test_each_accepted_request_is_confirmed_before_the_next_is_built(server):
    built = []

    class Noting(SimpleEnvelope):
        def encode(self) -> bytes:
            built.append(self.uuid)
            return self._json(self.padding)

    steps = []
    now_ms = int(time.time() * 1000)
    sent = [Noting(str(uuid.uuid4()), "$ai_span", now_ms, "s") for _ in range(1001)]
    send(
        server,
        *sent,
        on_delivered=lambda batch: steps.append((uuids(batch), len(built), len(server.accepted))),
    )
    assert [(len(batch), done, taken) for batch, done, taken in steps] == [
        (500, 500, 500),
        (500, 1000, 1000),
        (1, 1001, 1001),
    ]
    assert [item for batch, _, _ in steps for item in batch] == uuids(sent)


def test_nothing_more_is_sent_when_remembering_fails(server):
    def fail(_batch):
        raise OSError("disk full")

    sender = delivery(server, on_delivered=fail)
    for _ in range(500):
        sender.add(envelope())
    with pytest.raises(OSError, match="disk full"):
        sender.add(envelope())
    with pytest.raises(DeliveryError, match="error before"):
        sender.add(envelope())
    with pytest.raises(DeliveryError, match="error before"):
        sender.flush()
    sender.close()
    assert len(server.requests) == 1


def test_leaving_with_an_exception_sends_nothing_more(server):
    def interrupted():
        with delivery(server) as sender:
            sender.add(envelope())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert server.requests == []
