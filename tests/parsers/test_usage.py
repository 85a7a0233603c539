"""Usage blocks of all pi versions, and of providers that contradict themselves."""

from typing import Any

import msgspec
import pytest

from parsers.pi.entries import UsageBlock
from parsers.usage import NO_USAGE, Usage, read_usage
from tests.parsers.build import Transcript, usage


def parse(**block: Any) -> Usage:
    return read_usage(msgspec.convert(block, UsageBlock))


def test_tokens_and_cost_are_taken_as_pi_recorded_them() -> None:
    found = parse(
        input=100,
        output=20,
        cacheRead=1000,
        cacheWrite=300,
        cacheWrite1h=200,
        reasoning=5,
        totalTokens=1420,
        cost={"input": 0.1, "output": 0.2, "cacheRead": 0.03, "cacheWrite": 0.04, "total": 0.37},
    )
    assert found[:6] == (100, 20, 1000, 300, 1420, 5)
    assert found.cache_write_1h_tokens == 200
    assert found.cost_usd == 0.37
    assert found.output_cost_usd == 0.2
    assert found.cache_write_1h_tokens == 200


@pytest.mark.parametrize(("said", "billed"), [(True, True), (False, False), (None, False)])
def test_a_total_that_the_provider_gave_is_billed(said: bool | None, billed: bool) -> None:
    assert parse(cost={"total": 0.5, "totalFromProvider": said}).billed is billed


def test_input_cost_holds_the_cost_of_the_cache() -> None:
    found = parse(cost={"input": 0.1, "output": 0.2, "cacheRead": 0.03, "cacheWrite": 0.04, "total": 0.37})
    assert found.input_cost_usd == pytest.approx(0.17)


@pytest.mark.parametrize(
    "cost",
    [
        {"input": 0.1, "output": 0.2, "cacheRead": 0.03, "cacheWrite": 0.04, "total": 0.37},
        {"input": 0.1, "output": 0.2},
        {"input": 0.1, "output": 0.2, "total": 0.1},
        {"input": 0.0, "output": 0.0, "total": 0.5},
        {"total": 0.5},
        {"input": 0.1, "output": 0.2, "total": 0},
    ],
)
def test_input_and_output_cost_add_up_to_the_total(cost: dict[str, float]) -> None:
    found = parse(input=1, output=1, cost=cost)
    assert found.input_cost_usd + found.output_cost_usd == pytest.approx(found.cost_usd)
    assert found.input_cost_usd >= 0
    assert found.output_cost_usd >= 0
    if "total" in cost:
        assert found.cost_usd == cost["total"]


def test_a_usage_of_version_1_has_its_tokens_summed() -> None:
    assert parse(input=1, output=20, cacheRead=300, cacheWrite=4000).total_tokens == 4321


def test_a_total_that_pi_recorded_wins_over_the_sum() -> None:
    assert parse(input=1, output=2, totalTokens=7).total_tokens == 7


def test_unknown_reasoning_is_not_zero_reasoning() -> None:
    assert parse(output=5).reasoning_tokens is None
    assert parse(output=5, reasoning=0).reasoning_tokens == 0


def test_no_usage_is_no_tokens() -> None:
    assert read_usage(None) == NO_USAGE
    assert parse() == NO_USAGE


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300, 2.0**63])
def test_a_number_that_no_call_can_have_counts_as_zero(number: float) -> None:
    assert parse(input=number, output=3)[:2] == (0, 3)
    assert parse(output=3, totalTokens=number).total_tokens == 0


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_cost_that_is_no_number_counts_as_zero(number: float) -> None:
    found = parse(cost={"input": number, "output": 0.5})
    assert (found.cost_usd, found.input_cost_usd) == (0.5, 0)


def test_whole_numbers_and_their_decimals_are_the_same_tokens() -> None:
    assert parse(input=100, totalTokens=100) == parse(input=100.0, totalTokens=100.0)
    assert all(isinstance(tokens, int) for tokens in parse(input=100.0)[:5])


def test_a_generation_carries_its_usage() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello", usage=usage(100, 20, read=1000, write=10))
    found = talk.read().generations[0].usage
    assert found[:5] == (100, 20, 1000, 10, 1130)
    assert found.cost_usd == pytest.approx((100 + 40 + 100 + 15) / 1e6)
