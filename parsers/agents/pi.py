"""pi itself.

Source: pi 0.87.1, ``dist/main.js`` (order of the session folders), ``dist/config.js`` (getAgentDir) and
``dist/core/settings-manager.js`` (settings.json).
"""

from __future__ import annotations

import re

from parsers.agents.agent import Agent, Place, make_counter, make_numbers_parser, make_parser

_SETTING = ("settings.json", "sessionDir")

PI = Agent(
    name="pi",
    title="pi",
    places=(
        Place("$PI_CODING_AGENT_SESSION_DIR"),
        Place("$PI_CODING_AGENT_DIR", "sessions", _SETTING),
        Place("~/.pi/agent", "sessions", _SETTING),
    ),
    marks=re.compile(r"/\.pi/"),
    parser=make_parser,
    counter=make_counter,
    numbers=make_numbers_parser,
)
