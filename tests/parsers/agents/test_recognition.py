"""Whose sessions a path leads to."""

import pytest

from parsers.agents import AGENTS, recognize


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/ada/.pi/agent/sessions/--home-ada-shop--", "pi"),
        ("/home/ada/sessions", "pi"),
        ("/", "pi"),
        ("/home/ada/.openclaw", "openclaw"),
        ("/home/ada/.openclaw-work/agents/main/sessions", "openclaw"),
        ("/home/ada/.clawdbot/agents/main/sessions", "openclaw"),
        ("/backup/claw/agents/ops/sessions", "pi"),
        ("C:\\Users\\ada\\.openclaw\\agents\\main\\sessions", "openclaw"),
        ("/backup/claw/agents/ops", "pi"),
        ("/home/ada/.openclawed/sessions", "pi"),
        ("/home/ada/.omp/agent/sessions/-shop", "omp"),
        ("/home/ada/.omp/profiles/work/agent/sessions", "omp"),
        ("/home/ada/.openclaw/workspace/.pi/sessions", "pi"),
        ("/home/ada/.pi/agent/sessions/x/agents/main/sessions", "pi"),
    ],
)
def test_an_agent_is_recognized_by_the_deepest_mark_in_the_path(folder, name):
    assert recognize(folder).name == name


def test_a_folder_arranged_like_an_agents_is_that_agents_where_the_user_says_so():
    assert recognize("/backup/claw/agents/ops/sessions", by_shape=True).name == "openclaw"
    assert recognize("/backup/claw/agents/ops", by_shape=True).name == "pi"
    assert recognize("/backup/claw/agents/ops/sessions/.pi/x", by_shape=True).name == "pi"


def test_every_agent_is_found_under_its_name():
    assert {name: agent.name for name, agent in AGENTS.items()} == {n: n for n in ("pi", "openclaw", "omp")}
