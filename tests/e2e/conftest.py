"""Fixtures for tests that drive the real agent: they fail, and never skip, when it cannot run."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.agent.corners import CORNERS
from tests.agent.install import VERSIONS, Agent, AgentInstallError, install
from tests.agent.mock_model import MockModel
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage
from tests.agent.stories import STORIES

Library = Callable[[str, str], Stage]
Told = Callable[[str], Stage]


@pytest.fixture(scope="session", params=VERSIONS)
def agent(request: pytest.FixtureRequest) -> Agent:
    """Each agent version in turn, installed on first use."""
    try:
        return install(request.param)
    except AgentInstallError as error:
        pytest.fail(f"the real agent cannot be installed: {error}", pytrace=False)


@pytest.fixture
def model() -> Iterator[MockModel]:
    """A scripted model on loopback."""
    with MockModel() as served:
        yield served


@pytest.fixture
def stage(agent: Agent, model: MockModel) -> Iterator[Stage]:
    """An agent, its model and a home of its own."""
    with Sandbox(model.base_url, model.api_key) as sandbox:
        yield Stage(agent, model, sandbox)


@pytest.fixture(scope="session")
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Tells each story once with each version, however many tests are about it.

    Most of a story is waiting: those that tests are going to ask for are told in advance, two at a time.
    """
    stages: dict[tuple[str, str], Future[Stage]] = {}
    with ExitStack() as homes, ThreadPoolExecutor(max_workers=2) as tellers:

        def tell(version: str, name: str) -> Stage:
            with MockModel() as model:
                sandbox = homes.enter_context(Sandbox(model.base_url, model.api_key))
                stage = Stage(install(version), model, sandbox)
                (STORIES | CORNERS)[name](stage)
                assert not model.script, "answers that were never asked for"
            return stage

        def wanted(version: str, name: str) -> Future[Stage]:
            if (version, name) not in stages:
                stages[version, name] = tellers.submit(tell, version, name)
            return stages[version, name]

        homes.callback(tellers.shutdown, cancel_futures=True)
        for item in request.session.items:
            params = item.callspec.params if hasattr(item, "callspec") else {}
            if {"agent", "story"} <= params.keys():
                wanted(params["agent"], params["story"])
        yield lambda version, name: wanted(version, name).result()


@pytest.fixture
def told(agent: Agent, library: Library) -> Told:
    """Gives the stage after a story was played on it; tests must leave its files as they are."""
    return lambda name: library(agent.version, name)
