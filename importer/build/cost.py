"""What a model call cost, and where the number comes from: the one place that decides.

============  =========================================================================================
basis         the cost
============  =========================================================================================
billed        pi's, which is what the provider said that it charged
subscription  pi's, a list price of what a plan covers
list          pi's, from its catalogue of list prices
estimated     from the price in pi's ``models.json``, by pi's own formula: pi had none at the time
free          0: a free model, or a server of one's own
unpriced      not known; 0 where it is added up
(empty)       0: no tokens were used
============  =========================================================================================

Pure: settings (with the prices that they loaded) and a call in, dollars and a basis out. There is no table of
prices here.
Source: pi-ai 1.6.0, ``dist/models.js`` (calculateCost).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from importer.prices import Price
from importer.settings import Settings
from parsers.counting.rows import CallCost
from parsers.records import Generation
from parsers.usage import Usage

SUBSCRIPTIONS = ("openai-codex", "github-copilot", "kimi-coding")
"""Providers of plans, whose calls cost nothing by themselves; so do those whose name holds `PLAN`."""
PLAN = "-token-plan"
LOCAL = ("ollama", "lmstudio", "llama.cpp", "vllm")
"""Providers that are servers of one's own, wherever they stand."""
FREE_SUFFIXES = (":free", "-free")

_NOTHING = CallCost(0.0, 0.0, 0.0, "")


class CostRules:
    """Tells what each call cost under some settings.

    Example:
        >>> CostRules(Settings()).price_call(generation)
        CallCost(usd=0.0042, input_usd=0.003, output_usd=0.0012, basis='list')

    Args:
        settings: the providers of subscriptions, and the prices.
    """

    def __init__(self, settings: Settings) -> None:
        self._prices = settings.prices
        self._subscriptions = {*SUBSCRIPTIONS, *settings.subscription_providers}
        # A session has few models and many calls.
        self.basis_of_total = lru_cache(1024)(self._basis_of_total)
        self.basis_without_total = lru_cache(1024)(self._basis_without_total)

    def price_call(self, call: Generation) -> CallCost:
        """Return what a call cost, in US dollars, and the basis of that."""
        usage = call.usage
        if usage.cost_usd > 0:
            basis = "billed" if usage.billed else self.basis_of_total(call.provider)
            return CallCost(usage.cost_usd, usage.input_cost_usd, usage.output_cost_usd, basis)
        if not any(tokens > 0 for tokens in usage[:5]):
            return _NOTHING
        basis = self.basis_without_total(call.provider, call.model)
        if basis == "estimated":
            return _estimate(self._prices.prices[call.provider or "", call.model or ""], usage)
        return CallCost(0.0, 0.0, 0.0, basis)

    def _basis_of_total(self, provider: str | None) -> str:
        """Return the basis of a positive total that pi computed: ``list`` or ``subscription``."""
        name = provider or ""
        return "subscription" if name in self._subscriptions or PLAN in name else "list"

    def _basis_without_total(self, provider: str | None, model: str | None) -> str:
        """Return the basis where pi has no cost for tokens: ``estimated``, ``free`` or ``unpriced``."""
        server, name = provider or "", model or ""
        if (server, name) in self._prices.prices:
            return "estimated"
        if name.endswith(FREE_SUFFIXES) or server in LOCAL or self._prices.is_local(server, name):
            return "free"
        return "unpriced"


def make_cost_properties(cost: CallCost, unpriced: str) -> dict[str, Any]:
    """Make the properties that tell an event's cost.

    Without ``$ai_cost_passthrough`` and costs, PostHog prices the call by its model's name.

    Args:
        cost: what the call cost.
        unpriced: the setting: ``posthog`` leaves a cost that is not known to PostHog, ``zero`` sends 0.
    """
    basis = {"cost_basis": cost.basis} if cost.basis else {}
    if cost.basis == "unpriced" and unpriced == "posthog":
        return basis
    return {
        "$ai_total_cost_usd": cost.usd,
        "$ai_input_cost_usd": cost.input_usd,
        "$ai_output_cost_usd": cost.output_usd,
        "$ai_cost_passthrough": True,
        **basis,
    }


def _estimate(price: Price, usage: Usage) -> CallCost:
    """Compute a cost as pi does; an hour-long cache write costs twice the input's rate."""
    fresh, answered, read, written = (max(0, tokens) for tokens in usage[:4])
    rates = price.find_rates(fresh + read + written)
    long_written = min(max(0, usage.cache_write_1h_tokens or 0), written)
    cache_write = rates.cache_write * (written - long_written) + rates.input * 2 * long_written
    prompt = rates.input / 1e6 * fresh + rates.cache_read / 1e6 * read + cache_write / 1e6
    output = rates.output / 1e6 * answered
    return CallCost(prompt + output, prompt, output, "estimated")
