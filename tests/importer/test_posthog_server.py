"""The test server refuses what PostHog refuses; the other tests rest on that."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from datetime import UTC, datetime

import pytest
import requests

from tests.posthog_server import Fault, PostHogServer


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer() as server:
        yield server


def event(age_s: float = 0.0, **changes):
    when = datetime.fromtimestamp(time.time() - age_s, UTC).isoformat()
    base = {"event": "$ai_span", "distinct_id": "d", "uuid": str(uuid.uuid4()), "timestamp": when}
    return {**base, "properties": {}, **changes}


def post(server, *events, path="/batch/", key="phc_test", packed=True, **wrapper):
    body = json.dumps({"api_key": key, "batch": list(events), **wrapper}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    return requests.post(
        server.url + path, gzip.compress(body) if packed else body, headers=headers, timeout=10
    )


def test_takes_events_gzipped_or_plain_on_both_paths(server):
    one, two = event(), event()
    assert post(server, one).json() == {"status": "Ok"}
    assert post(server, two, path="/batch", packed=False).status_code == 200
    assert server.accepted == [one, two]
    assert [request.gzip for request in server.requests] == [True, False]
    assert server.connections == 2


def test_refuses_a_wrong_key_and_keeps_nothing(server):
    assert post(server, event(), key="phc_other").status_code == 401
    assert server.accepted == []


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"[1"), gzip.compress(b"{}")[:-4]],
    ids=["plain", "torn JSON", "torn gzip"],
)
def test_refuses_a_body_that_is_not_gzipped_json(server, body):
    answer = requests.post(server.url + "/batch/", body, headers={"Content-Encoding": "gzip"}, timeout=10)
    assert answer.status_code == 400


def test_refuses_the_whole_request_for_one_ai_event_over_the_limit(server):
    small, large = event(), event(properties={"x": "x" * 983_040})
    assert post(server, small, large).status_code == 413
    assert server.accepted == []
    assert post(server, event(event="other", properties={"x": "x" * 983_040})).status_code == 200


def test_measures_an_ai_event_by_its_own_bytes(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    one = event()
    size = len(json.dumps(one))
    with PostHogServer(max_ai_event=size) as server:
        assert post(server, one).status_code == 200
        assert post(server, {**one, "event": "$ai_span2"}).status_code == 413


def test_refuses_a_body_over_20_mib(server):
    answer = post(server, event(event="other", properties={"x": "x" * (20 * 1024 * 1024)}))
    assert answer.status_code == 413


def test_drops_an_event_with_an_invalid_uuid_and_takes_the_rest(server):
    bad, good = event(uuid="nonsense"), event()
    assert post(server, bad, good).status_code == 200
    assert (server.accepted, server.dropped) == ([good], [bad])


@pytest.mark.parametrize(
    "change", [{"timestamp": "yesterday"}, {"distinct_id": ""}, {"event": None}, {"properties": None}]
)
def test_notes_a_malformed_event_as_a_violation(server, change):
    assert post(server, event(**change)).status_code == 400
    assert len(server.violations) == 1


def test_notes_a_historical_batch_with_a_young_event(server):
    post(server, event(age_s=49 * 3600), historical_migration=True)
    assert server.violations == []
    post(server, event(age_s=49 * 3600), event(age_s=47 * 3600), historical_migration=True)
    assert len(server.violations) == 1


def test_keeps_one_event_per_envelope_and_notes_a_uuid_with_another(server):
    one = event()
    post(server, one)
    post(server, one)
    assert (len(server.accepted), server.duplicates, server.violations) == (1, 1, [])
    post(server, {**one, "timestamp": "2020-01-01T00:00:00Z"})
    assert len(server.violations) == 1


def test_plays_faults_in_order_then_answers_as_usual(server):
    server.faults = [
        Fault(status=503, headers={"Retry-After": "7"}),
        Fault(reset="before"),
        Fault(reset="after"),
    ]
    answer = post(server, event())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    for kept in (0, 1):
        with pytest.raises(requests.ConnectionError):
            post(server, event())
        assert len(server.accepted) == kept
    assert post(server, event()).status_code == 200
    assert [request.status for request in server.requests] == [503, None, None, 200]


def test_closes_at_once_while_a_connection_is_open_and_an_answer_is_late(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer() as server, requests.Session() as session:
        assert session.post(server.url + "/batch/", b"{}", timeout=10).status_code == 400
        server.faults = [Fault(delay_s=60)]
        with pytest.raises(requests.Timeout):
            session.post(server.url + "/batch/", b"{}", timeout=0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 2
