from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Command
from tests.posthog_server import PostHogServer


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    """A PostHog that no client has reason to find fault with."""
    with PostHogServer() as running:
        yield running
    assert running.violations == []
    assert running.dropped == []
