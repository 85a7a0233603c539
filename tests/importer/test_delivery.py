from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from importer import __version__
from importer.batching import MAX_BATCH_EVENTS, MAX_BODY_BYTES
from importer.delivery import Delivery
from importer.errors import DeliveryError
from importer.retry import DeliveryStoppedError, RetryPolicy, parse_retry_after
from tests.posthog_server import Fault, PostHogServer

KEY = "phc_test"
HOUR_MS = 3_600_000
PROMPT = "a secret prompt"


@dataclass(slots=True)
class SimpleEnvelope:
    uuid: str
    event: str
    end_ms: int
    source: str
    padding: int = 0
    least: int = 0  # cannot be trimmed under this

    def _json(self, padding: int) -> bytes:
        when = datetime.fromtimestamp(self.end_ms / 1000, UTC).isoformat(timespec="milliseconds")
        event = {"event": self.event, "distinct_id": "d", "uuid": self.uuid, "timestamp": when}
        return json.dumps({**event, "properties": {"$ai_input": PROMPT, "x": "x" * padding}}).encode()

    @property
    def size(self) -> int:
        return len(self._json(0)) + self.padding

    def encode(self) -> bytes:
        return self._json(self.padding)

    def trimmed(self, limit: int) -> bytes:
        room = max(limit, self.least) - len(self._json(0))
        return self._json(max(0, min(self.padding, room)))


def envelope(age_ms: int = 0, *, size: int = 0, event: str = "$ai_generation", least: int = 0):
    made = SimpleEnvelope(
        str(uuid.uuid4()), event, int(time.time() * 1000) - age_ms, "/home/me/s.jsonl", 0, least
    )
    made.padding = max(0, size - made.size)
    return made


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1, "a longer sleep cannot be interrupted within a second"
        self.now += seconds
        self.slept += seconds


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with PostHogServer(KEY) as server:
        yield server
        assert server.violations == []
        assert server.dropped == []


@pytest.fixture
def clock():
    return Clock()


def delivery(server, clock=None, **changes):
    clock = clock or Clock()
    settings = {"host": server.url, "api_key": KEY, "clock": clock}
    return Delivery(**{"sleep": getattr(clock, "sleep", time.sleep), **settings, **changes})


def send(server, *envelopes, **changes):
    with delivery(server, **changes) as sender:
        for item in envelopes:
            sender.add(item)
    return sender.counters


def uuids(envelopes):
    return [item.uuid for item in envelopes]


def accepted(server):
    return [event["uuid"] for event in server.accepted]


def body(request):
    return json.loads(zlib.decompress(request.packed, wbits=31))


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
    assert request.headers["User-Agent"] == f"pi-posthog/{__version__}"
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


# Trying again


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
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
def test_retry_after_is_waited_in_both_forms(server, clock, form):
    when = format_datetime(datetime.fromtimestamp(clock.now + 17, UTC), usegmt=True)
    server.faults = [Fault(status=429, headers={"Retry-After": "17" if form == "seconds" else when})]
    send(server, envelope(), clock=clock)
    assert 16 <= clock.slept <= 17.3
    assert len(server.accepted) == 1


def test_retry_after_is_capped_at_five_minutes(server, clock):
    server.faults = [Fault(status=503, headers={"Retry-After": "86400"})]
    send(server, envelope(), clock=clock)
    assert clock.slept == pytest.approx(300)


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5e9", "Mon, 99 Foo 2025 00:00:00 GMT", "٣"])
def test_a_retry_after_that_says_nothing_is_ignored(value):
    assert parse_retry_after(value, 0.0) is None


def test_a_retry_after_date_in_the_past_is_no_wait():
    assert parse_retry_after("Mon, 01 Jan 2024 00:00:00 GMT", 1_800_000_000.0) == 0.0


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


# Refusals


def refused(server, **changes) -> str:
    with pytest.raises(DeliveryError) as error:
        send(server, envelope(), **changes)
    message = str(error.value)
    assert "\n" not in message
    assert PROMPT not in message
    return message


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "trying again would not help"),
        (401, "check POSTHOG_API_KEY"),
        (403, "check POSTHOG_API_KEY"),
        (404, "check POSTHOG_HOST"),
        (418, "trying again would not help"),
        (204, "trying again would not help"),
    ],
)
def test_a_lasting_refusal_stops_at_once_and_says_what_to_check(server, status, advice):
    server.faults = [Fault(status=status)]
    message = refused(server)
    assert f"answered {status}" in message
    assert advice in message
    assert len(server.requests) == 1


def test_a_wrong_key_stops_with_one_line_that_does_not_hold_it(server):
    message = refused(server, api_key="phc_wrong_key")
    assert "401" in message
    assert "POSTHOG_API_KEY" in message
    assert "region" in message
    assert "phc_wrong" not in message
    assert "not_known" in message


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b'{"type": "x", "detail": "bad\\u001b[31m \\u202e \\n  thing"}', "(it said: bad [31m thing)"),
        (b"y" * 500, f"(it said: {'y' * 200})"),
        (b"your key phc_test is wrong", None),
        (b"<html>no</html>", None),
        (b"", None),
    ],
)
def test_the_servers_own_words_are_cleaned_and_never_hold_the_key(server, answer, shown):
    server.faults = [Fault(status=400, body=answer)]
    message = refused(server)
    assert KEY not in message
    assert message.isprintable()
    assert (shown in message) if shown else ("it said" not in message)


def test_a_redirect_is_not_followed_and_its_host_is_named(server):
    server.faults = [Fault(status=308, headers={"Location": "https://u:pw@eu.i.posthog.com/batch/?token=1"})]
    message = refused(server)
    assert "redirects to https://eu.i.posthog.com, check POSTHOG_HOST" in message
    assert "pw" not in message
    assert len(server.requests) == 1


def test_events_dropped_for_quota_do_not_count_as_delivered(server):
    server.faults = [Fault(status=200, body=b'{"status": 1, "quota_limited": ["events"]}')]
    remembered = []
    message = refused(server, on_delivered=remembered.append)
    assert "over its quota (events)" in message
    assert remembered == []


@pytest.mark.parametrize("answer", [b'{"status": 1, "quota_limited": []}', b'{"status":"Ok"}', b"1", b""])
def test_other_yes_answers_count_as_delivered(server, answer):
    server.faults = [Fault(status=200, body=answer)]
    assert send(server, envelope()).delivered == 1


def test_a_web_page_with_status_200_is_not_a_yes(server):
    server.faults = [Fault(status=200, body=b"\n<!DOCTYPE html><p>Log in")]
    assert "check POSTHOG_HOST" in refused(server)


@pytest.mark.parametrize("host", ["us.i.posthog.com", "ftp://x", "http://", "http://[::1", "http://a b"])
def test_an_address_that_is_none_is_one_line(host):
    with (
        pytest.raises(DeliveryError, match="POSTHOG_HOST") as error,
        Delivery(host=host, api_key=KEY) as sender,
    ):
        sender.add(envelope())
    assert "\n" not in str(error.value)


def test_a_slash_or_a_path_in_the_address_is_kept_in_order(server):
    send(server, envelope(), host=server.url + "/")
    server.faults = [Fault(status=200)]
    send(server, envelope(), host=server.url + "/proxy/")
    assert [request.path for request in server.requests] == ["/batch/", "/proxy/batch/"]


# Too large


@pytest.fixture
def strict():
    with PostHogServer(KEY, max_ai_event=100_000) as server:
        yield server
        assert server.violations == []


def test_a_batch_with_one_event_too_large_is_halved_until_only_that_one_is_cut(strict):
    sent = [envelope() for _ in range(16)]
    sent[5] = envelope(size=300_000)
    trimmed, remembered = [], []
    counters = send(
        strict,
        *sent,
        on_trimmed=lambda item, limit: trimmed.append((item.uuid, limit)),
        on_delivered=lambda batch: remembered.extend(uuids(batch)),
    )
    assert trimmed == [(sent[5].uuid, 64 * 1024)]
    assert remembered == accepted(strict) == uuids(sent)
    assert strict.accepted[:5] + strict.accepted[6:] == [
        json.loads(item.encode()) for item in sent[:5] + sent[6:]
    ]
    kept = json.loads(sent[5].trimmed(64 * 1024))
    assert strict.accepted[5] == kept
    assert (counters.trimmed, counters.failed, strict.duplicates) == (1, 0, 0)
    assert [request.events for request in strict.requests][:5] == [16, 8, 4, 4, 2]


def test_an_event_refused_in_every_size_is_reported_and_the_rest_goes_on():
    sent = [envelope(event="small"), envelope(size=600_000), envelope(event="small")]
    failed = []
    with PostHogServer(KEY, max_ai_event=1000) as server:
        counters = send(server, *sent, on_failed=lambda item, reason: failed.append((item.uuid, reason)))
        singles = [request.raw_size for request in server.requests if request.uuids == [sent[1].uuid]]
    assert [item for item, _ in failed] == [sent[1].uuid]
    assert "too large" in failed[0][1]
    assert accepted(server) == [sent[0].uuid, sent[2].uuid]
    limits = [kib * 1024 for kib in (512, 256, 128, 64, 32, 16)]
    assert len(singles) == 7
    assert all(limit < size <= limit + 200 for limit, size in zip(limits, singles[1:], strict=True))
    assert (counters.delivered, counters.failed) == (2, 1)


def test_an_event_that_cannot_be_cut_further_is_not_sent_again_and_again():
    failed = []
    with PostHogServer(KEY, max_ai_event=1000) as server:
        stubborn = envelope(size=600_000, least=200_000)
        send(server, stubborn, on_failed=lambda item, _reason: failed.append(item.uuid))
        assert [request.status for request in server.requests] == [413] * 4
    assert failed == [stubborn.uuid]


def test_an_event_larger_than_any_body_is_cut_without_asking_the_server(server):
    huge = envelope(size=MAX_BODY_BYTES + 1)
    trimmed = []
    sent = [envelope(), huge, envelope()]
    send(server, *sent, on_trimmed=lambda item, limit: trimmed.append((item.uuid, limit)))
    assert trimmed == [(huge.uuid, 512 * 1024)]
    assert accepted(server) == uuids(sent)
    assert {request.status for request in server.requests} == {200}


def test_halves_of_a_historical_batch_stay_historical(strict):
    sent = [envelope(72 * HOUR_MS) for _ in range(3)] + [envelope(72 * HOUR_MS, size=150_000)]
    send(strict, *sent)
    assert accepted(strict) == uuids(sent)
    assert all(request.historical for request in strict.requests)


def test_a_failing_memory_stops_between_the_halves(strict):
    def fail(_batch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        send(strict, envelope(), envelope(), envelope(), envelope(size=300_000), on_delivered=fail)
    assert [request.status for request in strict.requests] == [413, 200]
