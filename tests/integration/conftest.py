from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Command, Finished, tree
from tests.doctoring import KEY, ProjectServer
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    """A PostHog to which no client may do anything wrong."""
    with PostHogServer() as running:
        yield running
    assert running.violations == []
    assert running.dropped == []


@pytest.fixture
def project() -> Iterator[ProjectServer]:
    """A PostHog that knows its one project."""
    with ProjectServer() as server:
        yield server
    assert server.violations == []


@pytest.fixture
def doctor(command: Command, tmp_path: Path) -> Callable[..., Finished]:
    """Run the doctor, which must show no key, prompt or traceback and change nothing, whatever it finds."""
    sessions = tmp_path / "sessions"
    SessionWriter(sessions / "s.jsonl").turn("my secret prompt", "answer")

    def run(server, *arguments, code=0, paths=(sessions,), **environment):
        before = tree(command.home)
        done = command("doctor", *paths, *arguments, **(command.destination(server) | environment))
        assert done.code == code, done.out + done.err
        for text in (done.out, done.err):
            assert KEY not in text
            assert KEY[4:-2] not in text
            assert "my secret prompt" not in text
        assert tree(command.home) == before
        return done

    return run
