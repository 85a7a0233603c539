"""A refusal ends a delivery with one line, or costs no event but the one at fault."""

from __future__ import annotations

import json

import pytest

from importer.deliver.batching import MAX_BODY_BYTES
from importer.deliver.delivery import Delivery
from importer.errors import DeliveryError
from tests.delivering import (
    HOUR_MS,
    KEY,
    PROMPT,
    accepted,
    envelope,
    send,
    uuids,
)
from tests.posthog_server import Fault, PostHogServer

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


@pytest.mark.parametrize(
    "answer", [b'{"status": 1, "quota_limited": []}', b'{"status":"Ok"}', b'{"status":1}']
)
def test_other_yes_answers_count_as_delivered(server, answer):
    server.faults = [Fault(status=200, body=answer)]
    assert send(server, envelope()).delivered == 1


FALSE_YES = [
    (b"", "it said nothing"),
    (b"null", "it said: null"),
    (b"1", "it said: 1"),
    (b"true", "it said: true"),
    (b"OK", "it said: OK"),
    (b"[1]", "it said: [1]"),
    (b"{}", "it said: {}"),
    (b'{"status":0}', 'it said: {"status":0}'),
    (b'{"status":true}', 'it said: {"status":true}'),
    (b'{"status":"error"}', 'it said: {"status":"error"}'),
    (b'{"error":"blocked by policy"}', "it said: blocked by policy"),
    (b"\n<!DOCTYPE html><p>Log in", "it sent a web page"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "it sent something that is no text"),
    (KEY.encode(), "it said something else"),
    (b"[" * 5000, "it said: [[["),
]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize(("answer", "says"), FALSE_YES)
def test_what_is_not_posthogs_yes_is_tried_again_then_said(server, clock, status, answer, says):
    fault = Fault(status=status, body=b"" if status == 204 else answer)
    server.faults = [fault] * 6
    remembered = []
    message = refused(server, clock=clock, on_delivered=remembered.append)
    assert f"{server.url} answered {status}, but not as PostHog does" in message
    assert ("it said nothing" if status == 204 else says) in message
    assert "check POSTHOG_HOST" in message
    assert KEY not in message
    assert (len(server.requests), remembered) == (6, [])


def test_a_portal_that_opens_up_costs_no_event(server, clock):
    server.faults = [Fault(status=200, body=b"<html>Log in")] * 3
    counters = send(server, envelope(), clock=clock)
    assert (counters.delivered, counters.unanswered, len(server.accepted)) == (1, 1, 1)


@pytest.mark.parametrize("target", ["http://[x/", "http://[::1", "//[", "http://x:99999999/", "\x00"])
def test_a_redirect_to_an_address_that_is_none_is_one_line(server, target):
    server.faults = [Fault(status=302, headers={"Location": target})]
    assert "answered 302" in refused(server)


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
    server.faults = [Fault(status=200, body=b'{"status":1}')]
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
