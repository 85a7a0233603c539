"""Model prices and local servers, as the user wrote them down in pi's own ``models.json``.

Only rates and base URLs are looked at. Keys and headers, which may name variables (``$NAME``) or commands
(``!command``), are not read, and nothing is resolved or run. Built-in prices are pi's own affair: it has
applied them already.

Source: pi 1.6.0, ``dist/core/model-config.js`` (one wrong value, and pi takes nothing from the file),
``dist/core/provider-composer.js`` (``modelOverrides``, base URLs), ``dist/utils/json.js`` (comments).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from importer.errors import UsageError
from importer.files import open_file
from importer.places import agent_dir
from importer.quoting import printable

FILE_NAME = "models.json"
_MAX_RATE = 1e12  # US dollars a million tokens; nothing beyond is a price
_LOCAL_NAMES = re.compile(r"localhost|host\.docker\.internal|[^.]+(\.[^.]+)*\.(localhost|local)")
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')
_LAST_COMMAS = re.compile(r'("(?:\\.|[^"\\])*")|,(\s*[}\]])')


class Rates(Struct, frozen=True, rename="camel"):
    """US dollars a million tokens, by kind of token."""

    input: float
    output: float
    cache_read: float
    cache_write: float


class PriceTier(Rates, frozen=True, kw_only=True, rename="camel"):
    """The rates of a request whose prompt, cached tokens included, has more than so many tokens."""

    input_tokens_above: float


class Price(Rates, frozen=True, rename="camel"):
    """What a model costs. The highest tier that a prompt exceeds gives the rates of the whole request."""

    tiers: tuple[PriceTier, ...] = ()

    def find_rates(self, prompt_tokens: int) -> Rates:
        """Return the rates for a prompt of so many tokens, cached ones included."""
        exceeded = [tier for tier in self.tiers if prompt_tokens > tier.input_tokens_above]
        return max(exceeded, key=lambda tier: tier.input_tokens_above, default=self)


class ModelPrices(Struct, frozen=True):
    """What ``models.json`` says of prices and local servers.

    Attributes:
        path: the file that was looked for; empty where none was.
        found: whether it is there.
        problem: what is wrong with the file; then it holds no prices.
        prices: by provider and model.
        local: whether a base URL is on this machine or in a private network, by provider and model; the
            model is empty for all others of that provider.
    """

    path: str = ""
    found: bool = False
    problem: str = ""
    prices: dict[tuple[str, str], Price] = {}
    local: dict[tuple[str, str], bool] = {}

    def is_local(self, provider: str, model: str) -> bool:
        """Tell whether the file says that a model's server is local."""
        return self.local.get((provider, model), self.local.get((provider, ""), False))


NO_PRICES = ModelPrices()


class _Override(Struct, rename="camel"):
    cost: dict[str, object] | None = None


class _Definition(Struct, rename="camel"):
    id: str
    base_url: str | None = None
    cost: Price | None = None


class _Provider(Struct, rename="camel"):
    base_url: str | None = None
    models: list[_Definition] = []
    model_overrides: dict[str, _Override] = {}


class _ModelsFile(Struct):
    providers: dict[str, _Provider]


def load_prices(environ: Mapping[str, str] = os.environ) -> ModelPrices:
    """Load ``<agent dir>/models.json``. Never raises: a missing or damaged file holds no prices.

    Example:
        >>> load_prices({"PI_CODING_AGENT_DIR": "~/.pi/agent"}).prices["mine", "gpt-x"].output
        8.0
    """
    try:
        path = agent_dir(environ) / FILE_NAME
    except UsageError:
        return NO_PRICES
    return read_prices(path)


def read_prices(path: Path) -> ModelPrices:
    """Read the prices in a file. Never raises; ``problem`` holds what is wrong with it, as one line."""
    try:
        with open_file(path) as source:
            text = source.read().decode().removeprefix("\ufeff")
    except FileNotFoundError:
        return ModelPrices(str(path))
    except OSError as error:
        return _damaged(path, error.strerror or "cannot be read")
    except UnicodeDecodeError:
        return _damaged(path, "not UTF-8")
    text = _COMMENTS.sub(lambda match: match[1] or "", text)
    text = _LAST_COMMAS.sub(lambda match: match[1] or match[2], text)
    try:
        file = msgspec.json.decode(text, type=_ModelsFile)
        prices = _collect_prices(file)
    except (msgspec.DecodeError, RecursionError) as error:
        return _damaged(path, str(error))
    return ModelPrices(str(path), found=True, prices=prices, local=_collect_servers(file))


def _damaged(path: Path, why: str) -> ModelPrices:
    problem = f"{printable(path)} gives no prices: {printable(why)}"
    return ModelPrices(str(path), found=True, problem=problem)


def _collect_prices(file: _ModelsFile) -> dict[tuple[str, str], Price]:
    """Collect the prices that the file tells whole.

    An override changes some rates of a model. Those of a model that only pi's catalogue knows must all be
    there. Rates of 0 are no price: pi takes them for a model without any, too.
    """
    prices: dict[tuple[str, str], Price] = {}
    for name, provider in file.providers.items():
        known = {each.id: each.cost for each in provider.models if each.cost is not None}
        for model, override in provider.model_overrides.items():
            if override.cost:
                base = msgspec.to_builtins(known[model]) if model in known else {}
                rates = base | override.cost
                if {"input", "output", "cacheRead", "cacheWrite"} <= rates.keys():
                    known[model] = msgspec.convert(rates, Price)
        prices |= {(name, model): price for model, price in known.items() if _is_price(price)}
    return prices


def _is_price(price: Price) -> bool:
    rates = [
        rate
        for each in (price, *price.tiers)
        for rate in (each.input, each.output, each.cache_read, each.cache_write)
    ]
    return all(0 <= rate < _MAX_RATE for rate in rates) and any(rates)


def _collect_servers(file: _ModelsFile) -> dict[tuple[str, str], bool]:
    """Tell of each base URL whether it is local."""
    urls: dict[tuple[str, str], str] = {}
    for name, provider in file.providers.items():
        if provider.base_url is not None:
            urls[name, ""] = provider.base_url
        urls |= {(name, each.id): each.base_url for each in provider.models if each.base_url is not None}
    return {where: is_local_url(url) for where, url in urls.items()}


def is_local_url(url: str) -> bool:
    """Tell whether a URL's host is this machine (loopback) or in a private network.

    Example:
        >>> is_local_url("http://192.168.1.7:11434/v1"), is_local_url("https://api.example.com")
        (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if _LOCAL_NAMES.fullmatch(host):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    own = address.is_loopback or address.is_link_local or address.is_unspecified
    return own or any(address in network for network in _PRIVATE if network.version == address.version)
