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
        ("/backup/claw/agents/ops/sessions", "openclaw"),
        ("C:\\Users\\ada\\.openclaw\\agents\\main\\sessions", "openclaw"),
        ("/backup/claw/agents/ops", "pi"),
        ("/home/ada/.openclawed/sessions", "pi"),
        ("/home/ada/.omp/agent/sessions/-shop", "omp"),
        ("/home/ada/.omp/profiles/work/agent/sessions", "omp"),
        ("/home/ada/.openclaw/workspace/.pi/sessions", "pi"),
        ("/home/ada/.pi/agent/sessions/x/agents/main/sessions", "openclaw"),
    ],
)
def test_an_agent_is_recognized_by_the_deepest_mark_in_the_path(folder, name):
    assert recognize(folder).name == name


def test_every_agent_is_found_under_its_name():
    assert {name: agent.name for name, agent in AGENTS.items()} == {n: n for n in ("pi", "openclaw", "omp")}
