"""What pi records, as the messages that it hands to a model."""

import pytest

from parsers.pi import entries as e
from parsers.pi.messages import MEDIA, chat_message, join_text, output_choices
from tests.parsers.build import IMAGE, Transcript, call, text
from tests.parsers.reading import seen

REDACTED_IMAGE = {"type": "image_url", "image_url": {"url": MEDIA}}
ASKED = {"type": "function", "id": "c1", "function": {"name": "bash", "arguments": {"command": "ls"}}}


def thought(words: str) -> dict[str, object]:
    return {"type": "thinking", "thinking": words}


def last_seen(talk: Transcript) -> dict[str, object]:
    """The last message that the next call would see."""
    talk.assistant("noted")
    given = talk.read().generations[-1].input
    assert given is not None
    return seen(given.full)[-1]


def test_a_prompt_is_the_users_text() -> None:
    talk = Transcript()
    talk.user("hi")
    assert last_seen(talk) == {"role": "user", "content": "hi"}


def test_the_blocks_of_a_prompt_stay_parts_and_media_stays_here() -> None:
    talk = Transcript()
    talk.user([text("look"), IMAGE, text(""), {"type": "hologram"}])
    assert last_seen(talk) == {"role": "user", "content": [text("look"), REDACTED_IMAGE]}


def test_an_answer_is_its_text_and_its_calls_without_the_thinking() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant({"type": "thinking", "thinking": "hm"}, "let me ", "look", call("c1", command="ls"))
    talk.result("c1", "notes.txt")
    talk.assistant("done")
    given = talk.read().generations[-1].input
    assert given is not None
    assert seen(given.full)[1:] == [
        {"role": "assistant", "content": "let me look", "tool_calls": [ASKED]},
        {"role": "tool", "tool_call_id": "c1", "content": "notes.txt"},
    ]


def test_an_answer_of_calls_alone_has_no_content() -> None:
    talk = Transcript()
    talk.assistant(call("c1", command="ls"), "  ")
    talk.assistant("done")
    given = talk.read().generations[-1].input
    assert given is not None
    assert seen(given.full)[0] == {"role": "assistant", "content": None, "tool_calls": [ASKED]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("two\nlines", "two\nlines"),
        ([text("a"), text("b")], "a\nb"),
        ([], "(no tool output)"),
        ("", "(no tool output)"),
        ([IMAGE], f"(see attached image)\n{MEDIA}"),
        ([text("a"), IMAGE, IMAGE], f"a\n{MEDIA}\n{MEDIA}"),
    ],
)
def test_a_tool_result_is_a_tool_message(content: object, expected: object) -> None:
    talk = Transcript()
    talk.assistant(call("c1"))
    talk.result("c1", content)
    assert last_seen(talk) == {"role": "tool", "tool_call_id": "c1", "content": expected}


@pytest.mark.parametrize(
    ("ran", "expected"),
    [
        ({"output": "x"}, "Ran `ls`\n```\nx\n```"),
        ({}, "Ran `ls`\n(no output)"),
        ({"exit_code": 2}, "Ran `ls`\n(no output)\n\nCommand exited with code 2"),
        ({"exit_code": None, "cancelled": True}, "Ran `ls`\n(no output)\n\n(command cancelled)"),
        (
            {"output": "x", "truncated": True, "fullOutputPath": "/t/out"},
            "Ran `ls`\n```\nx\n```\n\n[Output truncated. Full output: /t/out]",
        ),
    ],
)
def test_a_users_command_is_told_as_the_user(ran: dict[str, object], expected: str) -> None:
    talk = Transcript()
    talk.bash("ls", **ran)  # type: ignore[arg-type]
    assert last_seen(talk) == {"role": "user", "content": [text(expected)]}


def test_extensions_speak_as_the_user() -> None:
    talk = Transcript()
    talk.entry("custom_message", customType="note", content="psst")
    assert last_seen(talk) == {"role": "user", "content": [text("psst")]}
    talk = Transcript(version=2)
    talk.message("hookMessage", customType="note", content=[text("psst")])
    assert last_seen(talk) == {"role": "user", "content": [text("psst")]}


def test_summaries_are_framed_as_pi_frames_them() -> None:
    talk = Transcript()
    talk.compaction("all of it")
    assert last_seen(talk) == {
        "role": "user",
        "content": [
            text(
                "The conversation history before this point was compacted into the following summary:\n\n"
                "<summary>\nall of it\n</summary>"
            )
        ],
    }
    talk = Transcript()
    talk.entry("branch_summary", summary="that way", fromId="e001")
    assert last_seen(talk) == {
        "role": "user",
        "content": [
            text(
                "The following is a summary of a branch that this conversation came back from:\n\n"
                "<summary>\nthat way</summary>"
            )
        ],
    }


def test_thinking_stands_in_choices_of_its_own_and_the_order_stays() -> None:
    hm, ah = (e.Block(type="thinking", thinking=words) for words in ("hm", "ah"))
    asks = e.Block(type="toolCall", id="c1", name="bash", arguments={"command": "ls"})
    choices = output_choices([hm, e.Block(type="text", text="so"), asks, ah, hm])
    assert {choice["role"] for choice in choices} == {"assistant"}
    assert [choice["content"] for choice in choices] == [
        [thought("hm")],
        [text("so"), ASKED],
        [thought("ah"), thought("hm")],
    ]


def test_redacted_thinking_and_unknown_blocks_are_left_out_of_an_answer() -> None:
    blocks = [e.Block(type="thinking", redacted=True), e.Block(type="hologram"), e.Block(type="image")]
    assert output_choices(blocks) == [{"role": "assistant", "content": []}]
    around = [e.Block(type="text", text="a"), *blocks, e.Block(type="text", text="b")]
    assert output_choices(around) == [{"role": "assistant", "content": [text("a"), text("b")]}]


def test_a_summary_is_an_answer_too() -> None:
    assert output_choices("so far") == [{"role": "assistant", "content": [text("so far")]}]
    assert output_choices(None) == [{"role": "assistant", "content": []}]


def test_the_text_of_a_content_is_its_text_blocks() -> None:
    assert join_text("as it is") == "as it is"
    assert (
        join_text([e.Block(type="text", text="a"), e.Block(type="image"), e.Block(type="text", text="b")])
        == "a\nb"
    )
    assert join_text(None) == ""


def test_arguments_that_are_no_object_are_kept() -> None:
    answer = e.AssistantMessage([e.Block(type="toolCall", id="c1", name="bash", arguments="{broken")])
    assert chat_message(answer)["tool_calls"][0]["function"]["arguments"] == "{broken"
