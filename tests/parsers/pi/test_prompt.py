"""System messages, which patch the prompt and the tools."""

from typing import Any

from parsers.pi.messages import SystemPrompt
from tests.parsers.build import Transcript
from tests.parsers.reading import said

READ = {"name": "read", "description": "Reads", "parameters": {}}
BASH = {"name": "bash", "description": "Runs", "parameters": {}}


def prompts(talk: Transcript) -> list[SystemPrompt]:
    """The system prompt of every call."""
    return [call.input.prompt for call in talk.read().generations if call.input]


def answers_under(*patches: dict[str, Any]) -> list[SystemPrompt]:
    talk = Transcript()
    for patch in patches:
        talk.system(**patch)
        talk.assistant("noted")
    return prompts(talk)


def test_the_first_system_message_sets_prompt_and_tools() -> None:
    (prompt,) = answers_under({"content": "Be kind.", "sections": {"cwd": "/x"}, "toolsAdded": [READ]})
    assert prompt.text == "Be kind.\n\n/x"
    assert prompt.tools == {"read": READ}


def test_a_later_one_patches_sections_by_name_and_keeps_their_order() -> None:
    _, prompt = answers_under(
        {"sections": {"a": "one", "b": "two", "c": "three"}}, {"sections": {"b": "2", "a": None, "d": "four"}}
    )
    assert prompt.text == "2\n\nthree\n\nfour"


def test_tools_come_and_go_by_name() -> None:
    first, second, third = answers_under(
        {"toolsAdded": [READ, BASH]},
        {"toolsRemoved": [{"name": "read"}]},
        {"toolsAdded": [{**BASH, "description": "2"}]},
    )
    assert list(first.tools) == ["read", "bash"]
    assert list(second.tools) == ["bash"]
    assert third.tools["bash"]["description"] == "2"


def test_removing_what_was_never_there_changes_nothing() -> None:
    _, prompt = answers_under(
        {"sections": {"a": "one"}, "toolsAdded": [READ]},
        {"sections": {"z": None}, "toolsRemoved": [{"name": "z"}, {}]},
    )
    assert (prompt.text, prompt.tools) == ("one", {"read": READ})


def test_a_replacing_system_message_forgets_the_one_before() -> None:
    _, prompt = answers_under(
        {"content": "old", "sections": {"a": "one"}, "toolsAdded": [READ]},
        {"content": "new", "replace": True},
    )
    assert (prompt.text, prompt.tools) == ("new", {})


def test_an_earlier_call_keeps_the_prompt_that_it_had() -> None:
    first, second = answers_under({"sections": {"a": "one"}}, {"sections": {"a": "two"}})
    assert (first.text, second.text) == ("one", "two")


def test_a_patch_holds_only_on_its_own_branch() -> None:
    talk = Transcript()
    talk.system(sections={"a": "one"}, toolsAdded=[READ])
    fork = talk.user("first way")
    talk.system(sections={"a": "two"}, toolsRemoved=[{"name": "read"}])
    talk.assistant("went")
    talk.assistant("went the other way", at=fork)
    there, here = prompts(talk)
    assert (there.text, there.tools) == ("two", {})
    assert (here.text, here.tools) == ("one", {"read": READ})


def test_the_checkpoint_of_a_compaction_replaces_the_prompt() -> None:
    talk = Transcript()
    talk.system(sections={"a": "one", "b": "two"}, toolsAdded=[READ])
    talk.compaction("so far", systemMessage={"role": "system", "content": "all", "toolsAdded": [BASH]})
    talk.assistant("noted")
    (prompt,) = prompts(talk)
    assert (prompt.text, prompt.tools) == ("all", {"bash": BASH})


def test_a_compaction_without_a_checkpoint_keeps_the_prompt() -> None:
    talk = Transcript()
    talk.system("Be kind.", toolsAdded=[READ])
    talk.compaction("so far")
    talk.assistant("noted")
    assert [prompt.text for prompt in prompts(talk)] == ["Be kind."]


def test_a_session_of_an_older_pi_has_no_prompt() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello")
    (prompt,) = prompts(talk)
    assert (prompt.text, prompt.tools) == ("", {})


def test_the_prompt_is_no_message_of_the_context() -> None:
    talk = Transcript()
    talk.system("Be kind.")
    talk.user("hi")
    talk.assistant("hello")
    given = talk.read().generations[0].input
    assert given is not None
    assert said(given.full) == ["user: hi"]
