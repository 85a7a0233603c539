"""A thousand seeded schedules of what a server may do, each with a delivery of its own over real sockets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from importer.deliver.delivery import Delivery
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from tests.delivering import HOUR_MS, KEY, SimpleEnvelope, envelope
from tests.posthog_server import MAX_AI_EVENT, Fault, PostHogServer

SCHEDULES = 1000
LANES = 10  # tests that share the schedules, so that a failure names its part
PATIENCE = RetryPolicy(attempts=50, first_s=0.0001, max_s=0.001)
PASSING = (408, 429, 500, 502, 503, 504)


def fault(dice: random.Random) -> Fault:
    """One thing that a server may do to a request, taking its events or not."""
    match dice.randrange(7):
        case 0:
            return Fault(reset="before")
        case 1:
            return Fault(reset="after")
        case 2:
            return Fault(reset="amid")
        case 3:
            return Fault(delay_s=dice.random() / 200)
        case 4:
            return Fault(delay_s=dice.random() / 200, reset="after")
        case 5:
            return Fault(status=429, headers={"Retry-After": "0"})
        case _:
            return Fault(status=dice.choice(PASSING), body=b"<html>busy</html>")


def events(dice: random.Random) -> list[SimpleEnvelope]:
    """Events of all ages and sizes; some are over the limit of the server."""
    sizes = [0, 300, 2_000] * 60 + [80_000] * 9 + [1_000_000]
    kinds = ["$ai_generation"] * 9 + ["$identify"]
    ages = [0, HOUR_MS, 72 * HOUR_MS]
    return [
        envelope(dice.choice(ages), size=dice.choice(sizes), event=dice.choice(kinds))
        for _ in range(dice.randint(1, 20))
    ]


def deliver(server: PostHogServer, given: list[SimpleEnvelope], dice: random.Random) -> dict[str, Any]:
    """Deliver until there is nothing left, as often as it takes; what was told of it."""
    acknowledged: list[str] = []
    failed: list[str] = []
    choice = dice.choice(["auto", "batch"])
    for _ in range(20):
        left = [each for each in given if each.uuid not in {*acknowledged, *failed}]
        try:
            with Delivery(
                host=server.url,
                api_key=KEY,
                endpoint=choice,
                parallel=dice.randint(1, 4),
                retry=PATIENCE,
                on_delivered=lambda taken: acknowledged.extend(each.uuid for each in taken),
                on_failed=lambda each, reason: failed.append(each.uuid),
            ) as delivery:
                for each in left:
                    delivery.add(each)
            break
        except DeliveryError:
            continue  # as a user who runs the command again
    return {"acknowledged": acknowledged, "failed": failed}


@pytest.mark.parametrize("lane", range(LANES))
def test_whatever_the_server_does_everything_arrives_and_nothing_under_two_envelopes(lane: int) -> None:
    with PostHogServer() as server:
        for seed in range(lane, SCHEDULES, LANES):
            dice = random.Random(seed)
            server.no_ai_lane = dice.choice([None, 404])
            server.max_ai_event = server.max_ai_lane_event = dice.choice([MAX_AI_EVENT, 60_000])
            given = events(dice)
            taken = len(server.accepted)
            with server.lock:
                server.faults[:] = [fault(dice) for _ in range(dice.randint(0, 12))]
            told = deliver(server, given, dice)
            with server.lock:
                server.faults.clear()
            there = [event["uuid"] for event in server.accepted[taken:]]
            everything = sorted(each.uuid for each in given)
            assert sorted(there) == everything, f"schedule {seed}"
            assert sorted(told["acknowledged"]) == everything, f"schedule {seed}"
            assert told["failed"] == [], f"schedule {seed}"
        assert server.violations == []
        assert server.dropped == []
