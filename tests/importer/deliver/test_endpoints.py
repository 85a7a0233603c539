"""AI events go to the endpoint that takes larger ones, where the server has it."""

from __future__ import annotations

import json

import pytest

from importer.build.trimming import EVENT_LIMIT
from importer.deliver.batching import MAX_BODY_BYTES
from importer.deliver.endpoint import AI, BATCH
from importer.errors import DeliveryError
from tests.building import built
from tests.delivering import KEY, accepted, delivery, envelope, send, uuids
from tests.posthog_server import AI_PATH, Fault, PostHogServer
from tests.session_writer import SessionWriter


@pytest.mark.parametrize("choice", ["auto", "ai"])
def test_ai_events_go_to_their_endpoint_and_all_others_to_batch(server, choice):
    sent = [envelope(), envelope(event="$identify"), envelope(event="$ai_trace"), envelope(event="other")]
    assert send(server, *sent, endpoint=choice).delivered == 4
    by_path = {AI_PATH: [sent[0].uuid, sent[2].uuid], "/batch/": [sent[1].uuid, sent[3].uuid]}
    for path, expected in by_path.items():
        own = (request.uuids for request in server.requests if request.path == path)
        assert [uuid for uuids_ in own for uuid in uuids_] == expected


@pytest.mark.parametrize("choice", ["auto", "batch"])
def test_the_person_is_there_before_the_events_whichever_way_they_go(server, choice):
    person, others = envelope(event="$identify"), [envelope() for _ in range(1500)]
    server.faults = [Fault(delay_s=0.3)]
    send(server, person, *others, endpoint=choice, parallel=4)
    assert accepted(server)[0] == person.uuid
    assert len(server.accepted) == 1501


def test_batch_never_asks_for_the_ai_endpoint(server):
    send(server, envelope(), envelope(event="$identify"), envelope(), endpoint="batch")
    assert {request.path for request in server.requests} == {"/batch/"}


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("parallel", [1, 4])
def test_auto_falls_back_where_there_is_no_ai_endpoint_and_remembers_it(server, status, parallel):
    server.no_ai_lane = status
    sent = [envelope() for _ in range(2600)]
    counters = send(server, *sent, endpoint="auto", parallel=parallel)
    assert sorted(accepted(server)) == sorted(uuids(sent))
    refused = [request for request in server.requests if request.path == AI_PATH]
    assert 1 <= len(refused) <= parallel
    assert (counters.delivered, counters.failed, server.duplicates) == (2600, 0, 0)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_ai_does_not_fall_back_but_says_what_to_do(server, status):
    server.no_ai_lane = status
    with pytest.raises(DeliveryError, match=f"answered {status}: .*POSTHOG_HOST") as error:
        send(server, envelope(), endpoint="ai")
    assert "\n" not in str(error.value)
    assert ("POSTHOG_ENDPOINT to auto or batch" in str(error.value)) == (status == 404)
    assert len(server.requests) == 1


def test_where_batch_is_missing_too_the_fallback_ends_in_one_line(server):
    server.no_ai_lane = 404
    server.faults = [Fault(status=404), Fault(status=404)]
    with pytest.raises(DeliveryError, match="there is no PostHog /batch/ there"):
        send(server, envelope(), endpoint="auto")
    assert [request.path for request in server.requests] == [AI_PATH, "/batch/"]


@pytest.fixture
def large(tmp_path):
    """Real events: generations whose input is over the limit of `/batch/`."""
    story = SessionWriter(tmp_path / "s.jsonl")
    for number in range(6):
        story.turn(f"{number} " + "q" * 400_000, "a")
    return built(story.path)


def test_the_ai_endpoint_gets_whole_what_batch_gets_cut(server, large):
    assert send(server, *large, endpoint="ai").shortened == 0
    whole = {event["uuid"]: event["properties"] for event in server.accepted}
    last = [event for event in large if event.event == "$ai_generation"][-1]
    assert len(whole[last.uuid]["$ai_input"]) == 11
    assert max(request.raw_size for request in server.requests) <= MAX_BODY_BYTES
    assert last.size_within(AI.event_limit) == len(last.trimmed(AI.event_limit)) > EVENT_LIMIT
    assert last.size == len(last.encode()) <= EVENT_LIMIT


def test_after_the_fallback_events_are_built_anew_for_the_smaller_limit(server, large):
    server.no_ai_lane = 404
    send(server, *large, endpoint="auto")
    with PostHogServer(KEY) as plain:
        assert send(plain, *large, endpoint="batch").shortened == 4, "and that is told"
        assert sorted(server.accepted, key=str) == sorted(plain.accepted, key=str)
    assert {request.status for request in server.requests} == {200, 404}, "nothing was refused for its size"


def test_an_event_larger_than_a_batch_goes_alone(server):
    huge = envelope(size=7_000_000)
    sent = [envelope(), huge, envelope()]
    counters = send(server, *sent, endpoint="ai")
    assert server.accepted[1] == json.loads(huge.encode())
    assert accepted(server) == uuids(sent)
    assert (counters.trimmed, len(server.requests)) == (0, 3)


def test_an_event_over_8_mib_is_cut_before_it_is_sent(server):
    send(server, envelope(size=9_000_000), endpoint="ai")
    (request,) = server.requests
    assert 0.99 * 8 * 1024 * 1024 < request.raw_size < 8 * 1024 * 1024


def test_a_server_with_a_smaller_limit_gets_the_largest_size_that_it_takes(server):
    server.max_ai_lane_event = 1_000_000
    trimmed = []
    sent = [envelope(), envelope(size=6_000_000), envelope()]
    counters = send(server, *sent, endpoint="auto", on_trimmed=lambda item, limit: trimmed.append(limit))
    assert sorted(accepted(server)) == sorted(uuids(sent))
    assert trimmed == [EVENT_LIMIT]
    assert (counters.trimmed, counters.failed) == (1, 0)


def test_what_waits_for_the_missing_endpoint_is_sent_to_batch_with_the_rest(server):
    server.no_ai_lane = 404
    old, new = [envelope(72 * 3_600_000) for _ in range(3)], [envelope() for _ in range(3)]
    with delivery(server, endpoint="auto") as sender:
        for item in [*old, *new]:
            sender.add(item)
    assert sorted(accepted(server)) == sorted(uuids([*old, *new]))
    assert {request.historical for request in server.requests if request.path == "/batch/"} == {True, False}


@pytest.mark.parametrize("endpoint", ["batch", "ai", "auto"])
@pytest.mark.parametrize("lane", [200, 404])
def test_no_event_is_larger_than_the_users_own_limit(server, endpoint, lane):
    if lane == 404:
        if endpoint == "ai":
            return
        server.no_ai_lane = 404
    sent = [envelope(), envelope(size=300_000), envelope(size=99_000)]
    counters = send(server, *sent, endpoint=endpoint, max_event_bytes=100_000)
    assert accepted(server) == uuids(sent)
    assert (counters.delivered, counters.shortened, counters.failed) == (3, 1, 0)
    assert max(len(json.dumps(event)) for event in server.accepted) <= 101_000


def test_a_limit_above_the_endpoints_own_changes_nothing():
    assert AI.capped(10**9) is AI
    assert BATCH.capped(None) is BATCH
    assert BATCH.capped(100_000).trim_limits == (65_536, 32_768, 16_384)


def test_an_event_that_is_still_too_large_is_cut_below_the_users_limit(server):
    server.max_ai_event = 50_000
    trimmed = []
    counters = send(
        server,
        envelope(size=300_000),
        max_event_bytes=100_000,
        endpoint="batch",
        on_trimmed=lambda item, limit: trimmed.append(limit),
    )
    assert (trimmed, counters.failed) == ([32_768], 0)
