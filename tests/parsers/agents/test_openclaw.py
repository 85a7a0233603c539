"""OpenClaw's sessions, recorded with its own session managers (see tests/fixtures/agents)."""

from pathlib import Path, PurePosixPath

import pytest

from parsers.agents.openclaw import OPENCLAW, agent_name, in_pi_terms, parent_id, takes
from parsers.pi import entries as e
from parsers.pi.decoding import decode_line
from parsers.pi.messages import join_text
from tests.parsers.agents.totals import RECORDED, spent
from tests.parsers.reading import read

FILES = sorted(path for path in (RECORDED / "openclaw").rglob("*") if path.is_file())
LIVE = [path for path in FILES if path.suffix == ".jsonl" and "checkpoint" not in path.name]


def reading(path: Path):
    return read(path.read_bytes(), in_pi_terms=in_pi_terms).finished


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name[-40:])
def test_the_generations_of_a_session_add_up_to_what_stands_in_the_file(path):
    calls = reading(path).generations

    found = sum(c.usage.total_tokens for c in calls), round(sum(c.usage.cost_usd for c in calls), 9)
    assert found == spent(path)
    assert reading(path).issues == {}


@pytest.mark.parametrize("path", LIVE, ids=lambda path: path.parts[-4])
def test_what_openclaw_says_itself_is_no_model_call(path):
    found = reading(path)

    assert b'"delivery-mirror"' in path.read_bytes()
    assert [call.model for call in found.generations] == ["claude-test"] * 3
    assert [call.stop_reason for call in found.generations] == ["toolUse", "stop", "stop"]
    seen = [m.source for call in found.generations for m in call.input.full.messages()]
    assert all("sent to the channel" not in join_text(getattr(m, "content", None)) for m in seen)


def test_only_openclaws_own_words_are_left_out():
    line = (
        b'{"type":"message","id":"a","parentId":null,"message":{"role":"assistant",'
        b'"provider":"%s","model":"%s","content":[]}}'
    )
    pairs = {
        (b"openclaw", b"gateway-injected"): e.UnknownMessage,
        (b"openclaw", b"delivery-mirror"): e.UnknownMessage,
        (b"openclaw", b"sonnet"): e.AssistantMessage,
        (b"anthropic", b"delivery-mirror"): e.AssistantMessage,
    }
    for pair, kind in pairs.items():
        assert isinstance(in_pi_terms(decode_line(line % pair)).line.message, kind)


def test_a_header_that_was_written_twice_is_no_error():
    path = next(path for path in LIVE if "2026.3.13" in path.parts)
    assert path.read_bytes().count(b'"type":"session"') == 2

    assert reading(path).session.header.id == "0b3f0000-0000-4000-8000-000000000002"


def test_entries_that_only_openclaw_knows_keep_their_place():
    path = LIVE[0]
    lines = path.read_bytes().splitlines(keepends=True)
    leaf = b'{"type":"leaf","id":"1eaf","parentId":null,"timestamp":"2026-11-23T18:00:00Z","targetId":null}\n'

    found = read(b"".join([*lines, leaf]), in_pi_terms=in_pi_terms)
    assert found.issues == {}
    assert len(found.generations) == 3


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("0b3f.jsonl", True),
        ("0b3f-topic-12.jsonl", True),
        ("2026-11-23T18-00-00-000Z_0b3f.jsonl", True),
        ("0b3f.jsonl.reset.2026-03-01T04-00-00.000Z", True),
        ("0b3f.jsonl.deleted.2026-03-01T04-00-00.000Z", True),
        ("0b3f.jsonl.deleted.2026-03-01T04-00-00Z", True),
        ("0b3f.jsonl.bak.2026-03-01T04-00-00.000Z", False),
        ("0b3f.jsonl.reset.once", False),
        ("agent_main_main.0b3f.jsonl.imported-1788220800000", True),
        ("agent_main_main.0b3f.jsonl.reset.2026-03-01T04-00-00.000Z.imported-1788220800000.1", True),
        ("agent_main_main.0b3f.trajectory.jsonl.imported-1788220800000", False),
        ("0b3f.jsonl.lock", False),
        ("0b3f.trajectory.jsonl", False),
        ("0b3f.acp-stream.jsonl", False),
        ("0b3f.checkpoint.5d0f3c9e-8a51-4c3f-9d52-1c1f0f5a7b11.jsonl", False),
        ("sessions.json", False),
        ("0b3f.jsonl.deleted.2026-03-01T04-00-00.000Z.zst", False),
    ],
)
def test_a_session_is_told_by_its_name(name, taken):
    assert takes(name) is taken
    assert OPENCLAW.takes(name) is taken


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/ada/.openclaw/agents/main/sessions/a.jsonl", "main"),
        ("/agents/x/sessions/agents/ops/sessions/a.jsonl", "ops"),
        ("/agents/ops/session-sqlite-import-archive/k.a.jsonl.imported-1", "ops"),
        ("/backup/a.jsonl", None),
        ("/agents/ops/a.jsonl", None),
    ],
)
def test_the_agents_name_is_that_of_its_folder(path, name):
    assert agent_name(PurePosixPath(path)) == name


@pytest.mark.parametrize(
    ("parent", "found"),
    [
        ("/home/ada/.openclaw/agents/main/sessions/0b3f-1.jsonl", "0b3f-1"),
        ("C:\\claw\\2026-11-23T18-00-00-000Z_0b3f.jsonl", "0b3f"),
        ("0b3f.jsonl.reset.2026-03-01T04-00-00.000Z", "0b3f"),
        ("somewhere", None),
        ("", None),
    ],
)
def test_a_parent_is_named_by_its_file(parent, found):
    assert parent_id(parent) == found
