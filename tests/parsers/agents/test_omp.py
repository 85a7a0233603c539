"""oh-my-pi's sessions, recorded with its own session manager (see tests/fixtures/agents)."""

import json
from pathlib import Path

import pytest

from parsers.agents.omp import in_pi_terms, parent_id
from parsers.pi import entries as e
from parsers.pi.decoding import decode_line
from parsers.pi.messages import join_text
from tests.parsers.agents.totals import RECORDED, lines, spent
from tests.parsers.reading import read

FILES = sorted((RECORDED / "omp").rglob("*.jsonl"))
(NEW,) = (path for path in FILES if "18.2.3" in path.parts and path.name != "0-Scout.jsonl")
(OLD,) = (path for path in FILES if "14.9.9" in path.parts and path.name != "0-Scout.jsonl")
SCOUTS = [path for path in FILES if path.name == "0-Scout.jsonl"]


def reading(path: Path):
    return read(path.read_bytes(), in_pi_terms=in_pi_terms).finished


def decoded(**fields):
    return in_pi_terms(decode_line(json.dumps(fields).encode()))


def seen_by(call) -> list[str]:
    return [join_text(getattr(m.source, "content", None)) for m in call.input.full.messages()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-4:]))
def test_the_generations_of_a_session_add_up_to_what_stands_in_the_file(path):
    calls = reading(path).generations

    found = sum(c.usage.total_tokens for c in calls), round(sum(c.usage.cost_usd for c in calls), 9)
    assert found == spent(path)
    assert reading(path).issues == {}


def test_model_work_outside_the_conversation_is_a_call_of_its_own():
    (call,) = (call for call in reading(NEW).generations if call.name != "chat")

    assert (call.name, call.provider, call.model) == ("title", "openai", "gpt-tiny")
    assert call.usage.cost_usd == 0.001


def test_the_reasoning_tokens_are_found_under_their_other_name():
    calls = reading(NEW).generations

    assert [call.usage.reasoning_tokens for call in calls] == [30, None, None, None, None]


def test_the_title_line_before_the_header_is_read_and_its_padding_is_no_matter():
    first = NEW.read_bytes().splitlines(keepends=True)[0]
    assert len(first) == 256
    assert lines(NEW)[0]["type"] == "title"

    session = reading(NEW).session
    assert session.name == "Listing files"
    assert session.header.id == lines(NEW)[1]["id"]


def test_lines_that_its_writer_repeated_count_once():
    ids = [line["id"] for line in lines(OLD)]
    assert len(ids) > len(set(ids))

    assert len(reading(OLD).generations) == 4


def test_an_older_one_has_its_title_in_the_header():
    assert reading(OLD).session.name == "Listing files"


def test_an_untitled_session_has_no_name():
    assert reading(SCOUTS[1]).session.name is None


def test_the_latest_title_names_the_session():
    change = lines(NEW)[-1] | {"type": "title_change", "id": "t2", "title": "Other"}
    del change["message"]
    found = read(NEW.read_bytes() + json.dumps(change).encode() + b"\n", in_pi_terms=in_pi_terms)

    assert found.session.name == "Other"


def test_nothing_from_before_a_clear_is_seen_after_it():
    call = reading(NEW).generations[-1]

    assert seen_by(call) == ["start over"]
    assert [join_text(m.source.content) for m in call.input.new.messages()] == ["start over"]


def test_a_session_that_was_not_cleared_goes_on():
    assert len(seen_by(reading(OLD).generations[-1])) > 5


@pytest.mark.parametrize("path", [NEW, OLD], ids=["18.2.3", "14.9.9"])
def test_mentioned_files_and_the_developers_words_are_seen(path):
    (call,) = (c for c in reading(path).generations if c.output and join_text(c.output) == "hello")

    seen = seen_by(call)
    assert '<file path="a.txt">\nhello\n</file>' in seen
    assert "Keep it short." in seen


@pytest.mark.parametrize("path", [NEW, OLD], ids=["18.2.3", "14.9.9"])
def test_python_that_the_user_ran_is_a_span_like_a_command(path):
    (span,) = (span for span in reading(path).spans if span.name == "user_bash")

    assert span.input == {"command": "1 + 1"}
    assert span.output == {"output": "2", "exitCode": 0, "cancelled": False}


@pytest.mark.parametrize("path", SCOUTS, ids=["14.9.9", "18.2.3"])
def test_a_subagent_was_told_its_prompt_and_its_tools(path):
    (call,) = reading(path).generations

    assert call.input.prompt.text == "You are a scout."
    assert list(call.input.prompt.tools) == ["read", "grep"]
    assert call.agent == "scout"


@pytest.mark.parametrize(
    ("model", "provider", "model_id"),
    [
        ("anthropic/claude", "anthropic", "claude"),
        ("openrouter/moonshot/kimi", "openrouter", "moonshot/kimi"),
        ("claude", None, "claude"),
    ],
)
def test_a_model_change_names_provider_and_model_in_one(model, provider, model_id):
    entry, _ = decoded(type="model_change", id="a", parentId=None, model=model)

    assert (entry.provider, entry.model_id) == (provider, model_id)


def test_entries_and_roles_that_mean_nothing_here_keep_their_place():
    for kind in ("mode_change", "ttsr_injection", "credential_pin", "service_tier_change", "news"):
        entry, dropped = decoded(type=kind, id="a", parentId="b", timestamp="2026-11-23T18:00:00Z")
        assert isinstance(entry, e.UnknownEntry)
        assert (entry.id, entry.parent_id, dropped) == ("a", "b", ())
    entry, _ = decoded(type="message", id="a", parentId=None, message={"role": "oracle"})
    assert isinstance(entry.message, e.UnknownMessage)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "session_init", "systemPrompt": 5, "tools": "all"},
        {"type": "session_init"},
        {"type": "session_init", "agent": {}},
        {"type": "model_usage", "purpose": ["x"], "usage": "much"},
        {"type": "model_usage"},
        {"type": "title_change", "title": {}},
        {"type": "model_change", "model": 7},
        {"type": "message", "message": {"role": "fileMention", "files": [1, {}, {"path": None}]}},
        {"type": "message", "message": {"role": "fileMention", "files": 1}},
        {"type": "message", "message": {"role": "pythonExecution", "code": {}}},
        {"type": "message", "message": {"role": "developer", "content": 9}},
        {"type": "reset_boundary", "id": 4},
    ],
)
def test_bad_values_are_no_error(fields):
    head = b'{"type":"session","version":3,"id":"s","timestamp":"2026-11-23T18:00:00Z"}\n'
    data = head + json.dumps({"id": "a", "parentId": None} | fields).encode() + b"\n"

    assert read(data, in_pi_terms=in_pi_terms).generations == [] or fields.get("usage") == "much"


@pytest.mark.parametrize(
    ("parent", "found"),
    [
        ("01a2095f-fe30", "01a2095f-fe30"),
        ("/home/ada/.omp/agent/sessions/-shop/2026-11-23T17-06-55-664Z_01a2.jsonl", "01a2"),
        ("", None),
    ],
)
def test_a_parent_is_named_by_its_id_or_its_file(parent, found):
    assert parent_id(parent) == found
