"""oh-my-pi, the agent behind the command ``omp``: a fork of pi with entries and roles of its own.

Source: the npm packages ``@oh-my-pi/pi-coding-agent`` (13.19.0, 14.9.9 and 18.3.4: ``src/session``) and
``@oh-my-pi/pi-utils`` (14.9.9 and 18.2.9: ``src/dirs.ts``).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from parsers.agents.agent import Agent, Place, id_of_parent, make_counter, make_numbers_parser, make_parser

if TYPE_CHECKING:
    from parsers.pi.decoding import Decoded


def in_pi_terms(decoded: Decoded) -> Decoded:
    """Rewrite an entry that only oh-my-pi writes in pi's terms."""
    from parsers.agents.omp_terms import rewrite  # only where there is a file to read

    return rewrite(decoded)


def parent_id(parent: str) -> str | None:
    """Read a session's parent's id, which is given by itself or in its file's name."""
    return id_of_parent(parent) if "/" in parent or "\\" in parent else parent or None


OMP = Agent(
    name="omp",
    title="oh-my-pi",
    places=(
        Place("$XDG_DATA_HOME/omp/profiles/$OMP_PROFILE", "sessions", optional=True),
        Place("~/.omp/profiles/$OMP_PROFILE/agent", "sessions"),
        Place("$XDG_DATA_HOME/omp/profiles/$PI_PROFILE", "sessions", optional=True),
        Place("~/.omp/profiles/$PI_PROFILE/agent", "sessions"),
        Place("$PI_CODING_AGENT_DIR", "sessions"),
        Place("$XDG_DATA_HOME/omp", "sessions", optional=True),
        Place("~/$PI_CONFIG_DIR/agent", "sessions"),
        Place("~/.omp/agent", "sessions"),
    ),
    marks=re.compile(r"/\.omp/"),
    parser=partial(make_parser, terms=in_pi_terms),
    counter=partial(make_counter, terms=in_pi_terms),
    numbers=partial(make_numbers_parser, terms=in_pi_terms),
    parent_id=parent_id,
)
