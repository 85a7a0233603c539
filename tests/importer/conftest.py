"""What the tests of delivery share: a loopback PostHog that nothing may do wrong at, and a clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivering import KEY, Clock
from tests.posthog_server import PostHogServer


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
