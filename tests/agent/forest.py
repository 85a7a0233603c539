"""Session files that pi's own SessionManager wrote, with what pi's own code says of them."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import building
from tests.agent.install import RELEASES, Agent

SCRIPT = Path(__file__).with_name("forest.mjs")
GROWING_S = 120.0

Event = dict[str, Any]


def grow(agent: Agent, folder: Path, trees: int, entries: int) -> list[Grown]:
    """Trees of so many entries each, from seeds 1 to `trees`, grown by one process; parents come first."""
    scope = RELEASES[agent.version].package.partition("/")[0]
    command = [agent.node, SCRIPT, agent.folder, scope, folder, str(trees), str(entries)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GROWING_S, check=False)
    assert done.returncode == 0, done.stderr
    files: dict[str | None, Grown] = {}
    for tree in json.loads(done.stdout)["trees"]:
        for told in tree["files"]:
            files[told["path"]] = Grown(told, files.get(told["parent"]))
    return list(files.values())


class Grown:
    """A session file of the forest.

    Attributes:
        calls: what pi would send, `{messages, tools}`, by the id of the entry that answers it.
        totals: `{tokens, cost}` of pi's `getSessionStats`.
        parent: the file it was forked from.
    """

    def __init__(self, told: dict[str, Any], parent: Grown | None) -> None:
        self.path = Path(told["path"])
        self.calls: dict[str, dict[str, Any]] = told["calls"]
        self.totals: dict[str, Any] = told["totals"]
        self.parent = parent

    @cached_property
    def header(self) -> Event:
        return lines(self.path)[0]

    @cached_property
    def entries(self) -> dict[str, Event]:
        return {entry["id"]: entry for entry in lines(self.path)[1:]}

    @cached_property
    def events(self) -> list[Event]:
        return building.events(self.path, input_context="full")

    @cached_property
    def answers(self) -> dict[str, Event]:
        """The generation of each answer, by entry id; they are told apart by the time they ended."""
        chats = {
            moment(event): event
            for event in self.events
            if event["event"] == "$ai_generation" and "$ai_span_name" not in event["properties"]
        }
        answers = [e for e in self.entries.values() if role_of(e) == "assistant"]
        return {entry["id"]: chats[moment(entry)] for entry in answers}

    def sent_before(self) -> list[Event]:
        """The events of the files that it was forked from, oldest first."""
        return [*self.parent.sent_before(), *self.parent.events] if self.parent else []

    def path_to(self, entry_id: str) -> list[Event]:
        """The entries before an entry on its branch; an unknown parent ends it, as in pi."""
        found: list[Event] = []
        parent = self.entries[entry_id]["parentId"]
        while parent in self.entries:
            found.append(self.entries[parent])
            parent = found[-1]["parentId"]
        return found[::-1]


def lines(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def role_of(entry: Event) -> str | None:
    return entry.get("message", {}).get("role")


def is_span(event: Event) -> bool:
    return event["event"] == "$ai_span"
