"""What every call saw: the path to it, with compactions, edits and branches applied."""

import pytest

from tests.parsers.build import Transcript, call, text, usage
from tests.parsers.reading import said

FRAMED = (
    "user: The conversation history before this point was compacted into the following summary:\n\n"
    "<summary>\n{}\n</summary>"
)


def contexts(talk: Transcript, size: str = "full") -> list[list[str]]:
    """What each call saw."""
    return [said(getattr(made.input, size)) for made in talk.read().generations if made.input]


def small_talk(version: int = 3) -> tuple[Transcript, list[str]]:
    """Two prompts with their answers, and the ids of the four entries."""
    talk = Transcript(version)
    ids = [talk.user("one"), talk.assistant("1"), talk.user("two"), talk.assistant("2")]
    return talk, ids


def test_a_call_sees_the_path_to_it() -> None:
    talk, _ = small_talk()
    assert contexts(talk) == [["user: one"], ["user: one", "assistant: 1", "user: two"]]


def test_a_branch_sees_only_its_own_path() -> None:
    talk, (_, first, *_) = small_talk()
    talk.user("or three?", at=first)
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: one", "assistant: 1", "user: or three?"]


def test_a_new_root_sees_nothing_of_the_others() -> None:
    talk, _ = small_talk()
    talk.user("afresh", at=None)
    talk.assistant("yes")
    assert contexts(talk)[-1] == ["user: afresh"]


def test_turn_begins_at_the_prompt_that_opened_the_run() -> None:
    talk, _ = small_talk()
    talk.user("three")
    talk.assistant("look", call("c1"))
    talk.result("c1", "x")
    talk.queued("hurry", typed_ago=500)
    talk.assistant("3")
    expected = ["user: three", "assistant: look [c1]", "tool: x", "user: hurry"]
    assert contexts(talk, "turn")[-1] == expected
    assert contexts(talk, "turn")[0] == ["user: one"]


def test_new_is_what_came_since_the_call_before() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"), call("c2"))
    talk.result("c1", "x")
    talk.result("c2", "y")
    talk.assistant("1")
    assert contexts(talk, "new") == [["user: one"], ["tool: x", "tool: y"]]


def test_new_on_a_branch_counts_from_the_call_that_the_branch_hangs_off() -> None:
    talk, (_, first, *_) = small_talk()
    talk.user("or three?", at=first)
    talk.assistant("3")
    assert contexts(talk, "new")[-1] == ["user: or three?"]


def test_a_compaction_replaces_what_came_before_the_first_kept_entry() -> None:
    talk, (_, _, second, _) = small_talk()
    talk.compaction("we counted", keeps=second)
    talk.user("three")
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("we counted"), "user: two", "assistant: 2", "user: three"]


@pytest.mark.parametrize("keeps", [None, "nowhere"])
def test_a_compaction_may_keep_nothing(keeps: str | None) -> None:
    talk, _ = small_talk()
    talk.compaction("we counted", keeps=keeps)
    talk.user("three")
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("we counted"), "user: three"]


def test_a_compaction_of_version_1_counts_lines() -> None:
    talk, _ = small_talk(version=1)
    talk.compaction("we counted", firstKeptEntryIndex=3)
    talk.user("three")
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("we counted"), "user: two", "assistant: 2", "user: three"]


def test_a_line_that_stands_there_twice_does_not_shift_what_a_compaction_of_version_1_keeps() -> None:
    talk, _ = small_talk(version=1)
    talk.lines.insert(2, talk.lines[1])
    talk.compaction("we counted", firstKeptEntryIndex=3)
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("we counted"), "user: two", "assistant: 2"]


def test_only_the_latest_summary_is_seen() -> None:
    talk, (_, _, second, _) = small_talk()
    talk.compaction("first", keeps=second)
    third = talk.user("three")
    talk.assistant("3")
    talk.compaction("second", keeps=third)
    talk.assistant("4")
    assert contexts(talk)[-1] == [FRAMED.format("second"), "user: three", "assistant: 3"]


def test_a_second_compaction_can_keep_what_the_first_one_kept() -> None:
    talk, (_, _, second, _) = small_talk()
    talk.compaction("first", keeps=second)
    talk.user("three")
    talk.compaction("second", keeps=second)
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("second"), "user: two", "assistant: 2", "user: three"]


def test_a_compaction_holds_only_on_its_own_branch() -> None:
    talk, (*_, last) = small_talk()
    talk.compaction("we counted")
    talk.user("three", at=last)
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: one", "assistant: 1", "user: two", "assistant: 2", "user: three"]


def test_a_compaction_with_usage_saw_what_it_replaced() -> None:
    talk, (_, _, second, _) = small_talk()
    talk.compaction("first", keeps=second, usage=usage())
    talk.user("three")
    talk.compaction("second", usage=usage())
    *_, first, second_seen = contexts(talk)
    assert first == ["user: one", "assistant: 1"]
    assert second_seen == [FRAMED.format("first"), "user: two", "assistant: 2", "user: three"]


def test_turn_is_everything_once_the_prompt_was_compacted_away() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"))
    result = talk.result("c1", "x")
    talk.compaction("so far", keeps=result)
    talk.assistant("1")
    assert contexts(talk, "turn")[-1] == [FRAMED.format("so far"), "tool: x"]


def test_an_edit_leaves_its_target_out() -> None:
    talk, (_, first, *_) = small_talk()
    talk.entry("context_edit", targetId=first, replacement=None)
    talk.user("three")
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: one", "user: two", "assistant: 2", "user: three"]


def test_an_edit_replaces_the_content_of_its_target_and_the_latest_wins() -> None:
    talk, (prompt, first, *_) = small_talk()
    talk.entry("context_edit", targetId=first, replacement={"content": "long"})
    talk.entry("context_edit", targetId=first, replacement={"content": "short"})
    talk.entry("context_edit", targetId=prompt, replacement={"content": [{"type": "text", "text": "uno"}]})
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: uno", "assistant: short", "user: two", "assistant: 2"]


def test_a_later_edit_brings_a_left_out_target_back_to_its_place() -> None:
    talk, (_, first, *_) = small_talk()
    talk.entry("context_edit", targetId=first, replacement=None)
    talk.assistant("without")
    talk.entry("context_edit", targetId=first, replacement={"content": "again"})
    talk.assistant("with")
    *_, without, restored = contexts(talk)
    assert without == ["user: one", "user: two", "assistant: 2"]
    assert restored == ["user: one", "assistant: again", "user: two", "assistant: 2", "assistant: without"]


def test_a_left_out_target_comes_back_behind_the_summary_of_a_compaction() -> None:
    talk, (_, _, second, _) = small_talk()
    talk.compaction("so far", keeps=second)
    talk.entry("context_edit", targetId=second, replacement=None)
    talk.entry("context_edit", targetId=second, replacement={"content": "zwei"})
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("so far"), "user: zwei", "assistant: 2"]


def test_a_left_out_target_that_was_compacted_away_stays_away() -> None:
    talk, (_, first, second, _) = small_talk()
    talk.entry("context_edit", targetId=first, replacement=None)
    talk.compaction("so far", keeps=second)
    talk.entry("context_edit", targetId=first, replacement={"content": "again"})
    talk.assistant("3")
    assert contexts(talk)[-1] == [FRAMED.format("so far"), "user: two", "assistant: 2"]


def test_an_edit_holds_only_on_its_own_branch() -> None:
    talk, (_, first, _, last) = small_talk()
    talk.entry("context_edit", targetId=first, replacement=None)
    talk.assistant("there")
    talk.assistant("here", at=last)
    *_, there, here = contexts(talk)
    assert "assistant: 1" not in there
    assert "assistant: 1" in here


def test_an_edit_of_nothing_changes_nothing() -> None:
    talk, _ = small_talk()
    talk.entry("context_edit", targetId="nowhere", replacement=None)
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: one", "assistant: 1", "user: two", "assistant: 2"]


def test_a_branch_summary_is_seen_where_the_branch_was_left_for() -> None:
    talk, (_, first, _, last) = small_talk()
    talk.entry("branch_summary", parent=first, fromId=last, summary="we counted to two")
    talk.user("three")
    talk.assistant("3")
    assert contexts(talk)[-1][:2] == ["user: one", "assistant: 1"]
    assert "we counted to two" in contexts(talk)[-1][2]


def test_a_branch_summary_with_usage_saw_the_branch_that_was_left() -> None:
    talk, (_, first, _, last) = small_talk()
    talk.entry("branch_summary", parent=first, fromId=last, summary="we counted", usage=usage())
    assert contexts(talk)[-1] == ["user: two", "assistant: 2"]


def test_an_empty_branch_summary_is_not_seen() -> None:
    talk, (_, first, _, last) = small_talk()
    talk.entry("branch_summary", parent=first, fromId=last, summary="")
    talk.assistant("3")
    assert contexts(talk)[-1] == ["user: one", "assistant: 1"]


def test_commands_are_seen_unless_the_user_kept_them_out() -> None:
    talk = Transcript()
    talk.bash("ls")
    talk.bash("env", excludeFromContext=True)
    talk.assistant("1")
    assert contexts(talk)[-1] == ["user: Ran `ls`\n(no output)"]


@pytest.mark.parametrize("stop", ["aborted", "error"])
def test_a_failed_answer_is_not_seen_by_the_next_call(stop: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("half of", call("c1"), stopReason=stop, errorMessage="gone")
    talk.user("again")
    talk.assistant("1")
    assert contexts(talk)[-1] == ["user: one", "user: again"]
    assert contexts(talk, "new")[-1] == ["user: again"]


def test_empty_messages_are_not_seen() -> None:
    talk = Transcript()
    talk.user("")
    talk.user(None)
    talk.assistant()
    talk.assistant({"type": "thinking", "thinking": "hm"})
    talk.assistant("1")
    assert contexts(talk)[-1] == []


def test_a_call_without_a_result_is_answered_as_pi_answers_it() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"), call("c2"))
    talk.result("c2", "y")
    talk.user("go on")
    talk.assistant("1")
    assert contexts(talk)[-1] == [
        "user: one", "assistant: [c1] [c2]", "tool: y", "tool: No result provided", "user: go on"
    ]  # fmt: skip


def test_a_made_up_result_is_compacted_away_with_its_call() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"))
    second = talk.user("two")
    talk.compaction("so far", keeps=second)
    talk.assistant("2")
    assert contexts(talk)[-1] == [FRAMED.format("so far"), "user: two"]


def test_state_labels_names_and_unknown_things_are_not_seen() -> None:
    talk = Transcript()
    talk.entry("custom", customType="state", data={"content": "no"})
    talk.entry("label", targetId="e001", label="no")
    talk.entry("session_info", name="no")
    talk.entry("mood", content="no")
    talk.message("oracle", content="no")
    talk.entry("usage", kind="cache_warm", usage=usage())
    talk.assistant("1")
    assert contexts(talk) == [[]]


def test_a_compaction_that_brings_what_it_keeps_replaces_everything_else() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    kept = [
        {"role": "system", "content": "not here", "timestamp": 1},
        {"role": "user", "content": "the latest request", "timestamp": 2},
        {"role": "assistant", "content": [text("so far")], "stopReason": "stop", "timestamp": 3},
        {"role": "assistant", "content": [text("broken")], "stopReason": "error", "timestamp": 4},
        {"role": "branchSummary", "summary": "of an unknown role", "timestamp": 5},
    ]
    talk.compaction("the story", retainedTail=kept)
    talk.user("two")
    talk.assistant("2")
    made = talk.read().generations[-1]
    assert made.input is not None
    assert [line.split("\n")[0] for line in said(made.input.full)][1:] == [
        "user: the latest request",
        "assistant: so far",
        "user: two",
    ]
