"""A 400 is the fault of one event, which is set aside, or of everything, which ends the delivery."""

from __future__ import annotations

import pytest

from importer.deliver.endpoint import MOST_IN_A_ROW
from importer.errors import DeliveryError
from tests.delivering import accepted, delivery, envelope, send, uuids
from tests.posthog_server import Fault, PostHogServer


@pytest.mark.parametrize("place", [0, 7, 63])
def test_one_event_that_is_not_valid_is_set_aside_and_named(server, place):
    sent = [envelope() for _ in range(64)]
    server.not_valid = {sent[place].uuid}
    failed = []
    counters = send(
        server, *sent, set_aside=True, on_failed=lambda item, why: failed.append((item.uuid, why))
    )
    ((uuid, why),) = failed
    assert uuid == sent[place].uuid
    assert "alone with 400" in why
    assert "invalid event" in why
    assert accepted(server) == [other for other in uuids(sent) if other != uuid]
    assert (counters.delivered, counters.failed, server.duplicates) == (63, 1, 0)
    assert len(server.requests) <= 14


def test_an_event_alone_is_set_aside_once_the_server_took_others(server):
    bad, good = envelope(), [envelope(), envelope()]
    server.not_valid = {bad.uuid}
    failed = []
    with delivery(server, set_aside=True, on_failed=lambda item, why: failed.append(item.uuid)) as sender:
        for item in (good[0], bad, good[1]):
            sender.add(item)
            sender.flush()
    assert failed == [bad.uuid]
    assert accepted(server) == uuids(good)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_a_server_that_refuses_everything_ends_the_delivery(server, count):
    sent = [envelope() for _ in range(count)]
    server.not_valid = set(uuids(sent))
    failed = []
    with pytest.raises(DeliveryError, match="answered 400"):
        send(server, *sent, set_aside=True, on_failed=lambda item, why: failed.append(item.uuid))
    assert failed == []
    assert len(server.requests) < 40


def test_a_server_that_begins_to_refuse_everything_ends_it_after_some_events(server):
    sent = [envelope() for _ in range(MOST_IN_A_ROW)]
    server.not_valid = set(uuids(sent))
    failed = []

    def deliver():
        with delivery(server, set_aside=True, on_failed=lambda item, why: failed.append(item.uuid)) as sender:
            for item in (envelope(), *sent):
                sender.add(item)
                sender.flush()

    with pytest.raises(DeliveryError, match="answered 400"):
        deliver()
    assert failed == uuids(sent)[:-1]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_ends_it_at_once(server, status):
    server.faults = [Fault(status=status)]
    with pytest.raises(DeliveryError, match="POSTHOG_API_KEY"):
        send(server, envelope(), envelope(), set_aside=True)
    assert len(server.requests) == 1


def test_where_nothing_may_be_set_aside_the_first_400_ends_it(server):
    sent = [envelope() for _ in range(8)]
    server.not_valid = {sent[3].uuid}
    with pytest.raises(DeliveryError, match="answered 400"):
        send(server, *sent)
    assert len(server.requests) == 1


def test_what_was_taken_is_remembered_though_the_report_of_another_event_fails():
    acknowledged: list[str] = []
    good, bad = [envelope() for _ in range(2)], envelope()

    def told(*_: object) -> None:
        raise BrokenPipeError

    with PostHogServer() as server:
        server.not_valid = {bad.uuid}
        with pytest.raises(BrokenPipeError):
            send(
                server,
                bad,
                *good,
                set_aside=True,
                on_failed=told,
                on_delivered=lambda taken: acknowledged.extend(uuids(taken)),
            )
        assert sorted(acknowledged) == sorted(accepted(server)) != []
