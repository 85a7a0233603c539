"""The agents whose sessions can be imported: a module each, and its name here."""

from __future__ import annotations

from parsers.agents.agent import Agent, Place, SessionParser
from parsers.agents.omp import OMP
from parsers.agents.openclaw import OPENCLAW
from parsers.agents.pi import PI

__all__ = ["AGENTS", "PI", "Agent", "Place", "SessionParser", "recognize"]

AGENTS = {agent.name: agent for agent in (PI, OPENCLAW, OMP)}


def recognize(folder: str, *, by_shape: bool = False) -> Agent:
    """Recognize the agent whose sessions are in a folder by the folder's absolute path alone.

    It is the one whose mark stands deepest in the path, so that pi's sessions in an OpenClaw workspace are
    pi's; pi where there is none.

    Args:
        folder: the path.
        by_shape: whether a folder that is only arranged like an agent's counts, too. pi's may be, as well.
    """
    path = folder.replace("\\", "/") + "/"
    deepest, found = 0, PI
    for agent in AGENTS.values():
        for pattern in (agent.marks, agent.shape if by_shape else None):
            for mark in pattern.finditer(path) if pattern else ():
                if mark.end() > deepest:
                    deepest, found = mark.end(), agent
    return found
