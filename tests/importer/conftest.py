"""What tests share: a loopback PostHog that nothing may do wrong at, a clock, ways to start processes."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Iterator

import pytest

from importer.plan import pool
from tests.delivering import KEY, Clock
from tests.posthog_server import PostHogServer

METHODS = [name for name in ("fork", "spawn") if name in multiprocessing.get_all_start_methods()]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    with PostHogServer(KEY) as server:
        yield server
        assert server.violations == []
        assert server.dropped == []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A way to start processes that is used now."""
    context = multiprocessing.get_context(request.param)
    monkeypatch.setattr(pool, "process_context", lambda: context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside the threads of pytest
        yield request.param
