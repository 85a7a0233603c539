"""An agent with a format of its own: one module like the one below, and a line in the registry."""

import json
import re
from pathlib import Path

import pytest

from importer.deliver.backfill import Backfill
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from importer.watch.tail import Tail
from parsers import agents
from parsers.agents import Agent, Place, SessionParser
from parsers.identity import derive
from parsers.pi import entries
from parsers.pi.runs import SETTLE_MS
from parsers.records import Generation
from parsers.usage import Usage
from tests.building import NOW_MS

LINES = [{"chat": "c1", "dir": "/home/ada/shop"}, {"at": 1_770_000_000_000, "said": "hello", "usd": 0.5}]


class ToyParser:
    """Reads lines like those above: every one but the first is a model call, and a trace of its own."""

    subagent = name = first_prompt = last_prompt = None
    prompts = 0
    has_copies = False
    delegations = ()

    def __init__(self, grouping: str, window_ms: int) -> None:
        self.header: entries.SessionHeader | None = None
        self.issues: dict = {}

    def feed(self, line: bytes, *, torn: bool = False) -> list:
        value = json.loads(line)
        if self.header is None:
            self.header = entries.SessionHeader(id=value["chat"], cwd=value["dir"])
            return []
        ms, cost = value["at"], value["usd"]
        call_id = derive("toy", ms, value["said"])
        trace_id = derive("toy trace", call_id)
        usage = Usage(cost_usd=cost)
        return [
            Generation(
                id=call_id, trace_id=trace_id, parent_id=trace_id, window=1, start_ms=None, end_ms=ms,
                copied=False, name="chat", provider="toy", model="toy-1", usage=usage, output=value["said"],
            )
        ]  # fmt: skip

    def finish(self, now_ms: int, written_ms: int = 0, *, settle_ms: int = SETTLE_MS) -> list:
        return []

    def is_final(self, now_ms: int, written_ms: int) -> bool:
        return True

    def open_traces(self) -> set[str]:
        return set()


TOY = Agent(
    name="toy",
    title="Toy",
    places=(Place("$TOY_HOME", "chats"), Place("~/.toy", "chats")),
    marks=re.compile(r"/\.toy/"),
    parser=ToyParser,
    takes=lambda name: name.endswith(".toy"),
    header=lambda line: {"id": line["chat"], "cwd": line["dir"]} if "chat" in line else None,
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(agents.AGENTS, "toy", TOY)


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / ".toy" / "chats" / "c1.toy"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


@pytest.mark.parametrize("by_name", [True, False])
def test_its_sessions_are_found_and_imported(by_name, path, tmp_path):
    asked = {"origin": "toy", "environ": {"HOME": str(tmp_path)}} if by_name else {"paths": [tmp_path]}

    plan = make_plan(find_sessions(**asked), Settings(), now_ms=NOW_MS, with_totals=True)
    output = tmp_path / "events.jsonl"
    Backfill(plan, Settings()).write(output)

    (event,) = map(json.loads, output.read_text().splitlines())
    properties = event["properties"]
    assert properties["$ai_total_cost_usd"] == 0.5
    assert properties["$ai_session_id"] == "toy:c1"
    assert properties["$ai_framework"] == "toy"
    assert properties["$ai_project_name"] == "shop"


def test_its_sessions_are_followed(path):
    tail = Tail(path, Settings(), TOY)
    (record,) = tail.read()

    assert json.loads(tail.build_event(record).encode())["properties"]["$ai_framework"] == "toy"


def test_what_is_no_session_of_its_own_is_left_out(path, tmp_path):
    path.write_text('{"other": 1}\n')

    (skipped,) = find_sessions([tmp_path]).skipped
    assert (skipped.reason, skipped.serious) == ("not a session file", False)


def test_a_parser_has_what_the_importer_asks_for():
    parser: SessionParser = ToyParser("message", 0)
    assert parser.open_traces() == set()
