"""Fixtures for tests that drive the real agent: they fail, and never skip, when it cannot run."""

from collections.abc import Iterator

import pytest

from tests.agent.install import VERSIONS, Agent, AgentInstallError, install
from tests.agent.mock_model import MockModel
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage


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
