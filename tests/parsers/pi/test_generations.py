"""Everything that pi was charged for, as generations."""

from typing import Any

import pytest

from parsers.pi.generations import http_status
from parsers.records import Generation
from tests.parsers.build import START_MS, Transcript, call, usage


def made_in(talk: Transcript) -> list[Generation]:
    return talk.read().generations


def test_an_answer_is_a_generation_with_all_that_pi_recorded() -> None:
    talk = Transcript()
    talk.entry("thinking_level_change", thinkingLevel="high")
    talk.user("hi")
    talk.assistant(
        "hello", takes=2500, responseModel="m-2", responseId="r1", stopReason="length", usage=usage(7, 3)
    )
    read = talk.read().finished
    (made,), (run,) = read.generations, read.runs
    assert (made.name, made.provider, made.model) == ("chat", "mock", "mock-1")
    assert (made.response_model, made.response_id, made.thinking_level) == ("m-2", "r1", "high")
    assert (made.stop_reason, made.error, made.user_prompt) == ("length", None, "hi")
    assert (made.usage.input_tokens, made.usage.output_tokens) == (7, 3)
    assert (made.parent_id, made.window, made.copied) == (run.id, 1, False)


def test_latency_is_from_the_start_of_the_call_to_the_writing_of_its_entry() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello", takes=2500)
    (made,) = made_in(talk)
    assert (made.start_ms, made.end_ms) == (talk.now_ms - 2500, talk.now_ms)
    assert made.latency_s == 2.5


def test_a_clock_that_runs_backwards_makes_no_negative_latency() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello", takes=-5000)
    assert made_in(talk)[0].latency_s == 0


def test_latency_is_unknown_where_the_start_is() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello")
    talk.entries[-1]["message"].pop("timestamp")
    talk.lines[-1] = b'{"type":"message","timestamp":"2026-10-01T00:00:00Z","message":{"role":"assistant"}}\n'
    assert made_in(talk)[0].latency_s is None


def test_the_level_of_the_message_wins_over_that_of_the_session() -> None:
    talk = Transcript()
    talk.entry("thinking_level_change", thinkingLevel="high")
    talk.assistant("hello", thinkingLevel="low")
    assert made_in(talk)[0].thinking_level == "low"


def test_a_header_of_version_1_sets_the_thinking_level() -> None:
    talk = Transcript(version=1, provider="p", modelId="m", thinkingLevel="medium")
    talk.assistant("hello")
    assert made_in(talk)[0].thinking_level == "medium"


@pytest.mark.parametrize(
    "stop", ["stop", "length", "toolUse", "error", "aborted", "deferred", "sulking", None]
)
def test_every_stop_reason_is_kept(stop: str | None) -> None:
    talk = Transcript()
    talk.assistant("hello", stopReason=stop, errorMessage="why")
    (made,) = made_in(talk)
    assert (made.stop_reason, made.error) == (stop, "why")


def test_answers_on_every_branch_are_counted() -> None:
    talk = Transcript()
    start = talk.user("hi")
    for _ in range(3):
        talk.assistant("hello", at=start)
    talk.assistant("hello", at=None)
    assert len({made.id for made in made_in(talk)}) == 4


def test_only_the_first_call_of_a_prompt_carries_it() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.result("c1")
    talk.assistant("done")
    talk.user("more")
    talk.assistant("done")
    assert [made.user_prompt for made in made_in(talk)] == ["go", None, "more"]


def add_compaction(talk: Transcript) -> None:
    talk.compaction("so far", usage=usage(7))


def add_branch_summary(talk: Transcript) -> None:
    talk.entry("branch_summary", parent=None, fromId=talk.leaf, summary="so far", usage=usage(7))


def add_warming(talk: Transcript) -> None:
    talk.entry("usage", kind="cache_warm", provider="mock", model="mock-2", usage=usage(7))


def add_nested(talk: Transcript) -> None:
    talk.result("c1", toolName="ask_expert", usage=usage(7))


@pytest.mark.parametrize(
    ("add", "name", "provider", "model", "output"),
    [
        (add_compaction, "compaction", "mock", "mock-1", "so far"),
        (add_branch_summary, "branch_summary", None, None, "so far"),
        (add_warming, "cache_warm", "mock", "mock-2", None),
        (add_nested, "ask_expert", None, None, None),
    ],
)
def test_model_work_beside_the_conversation_is_named_after_what_it_is(
    add: Any, name: str, provider: str | None, model: str | None, output: str | None
) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1", "ask_expert"))
    add(talk)
    made = made_in(talk)[-1]
    assert (made.name, made.provider, made.model, made.output) == (name, provider, model, output)
    assert (made.usage.input_tokens, made.end_ms, made.start_ms) == (7, talk.now_ms, None)
    assert made.latency_s is None


def test_the_model_of_a_compaction_is_the_one_that_the_user_chose_last() -> None:
    talk = Transcript()
    talk.assistant("hello")
    talk.entry("model_change", provider="other", modelId="o-1")
    talk.compaction("so far", usage=usage())
    assert (made_in(talk)[-1].provider, made_in(talk)[-1].model) == ("other", "o-1")


def test_the_model_work_of_a_tool_hangs_off_the_span_of_the_tool() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1", "ask_expert"))
    add_nested(talk)
    read = talk.read()
    assert read.generations[-1].parent_id == read.spans[0].id
    assert read.generations[-1].trace_id == read.spans[0].trace_id


def test_the_model_work_of_a_tool_without_a_call_is_counted_too() -> None:
    talk = Transcript()
    add_nested(talk)
    read = talk.read()
    assert [made.usage.input_tokens for made in read.generations] == [7]
    assert read.generations[0].parent_id == read.spans[0].id


def test_entries_without_usage_are_no_generations() -> None:
    talk = Transcript()
    talk.user("go")
    talk.compaction("so far")
    talk.entry("branch_summary", parent=None, summary="so far")
    talk.entry("usage", kind="cache_warm")
    talk.entry("custom", usage=usage())
    assert made_in(talk) == []


def test_an_answer_without_usage_is_a_generation_that_cost_nothing() -> None:
    talk = Transcript()
    talk.assistant("hello", usage=None)
    assert [made.usage.cost_usd for made in made_in(talk)] == [0]


def test_entries_without_a_time_of_their_own_take_the_one_before() -> None:
    talk = Transcript()
    talk.raw(b'{"type":"usage","id":"u1","parentId":null,"kind":"k","usage":{"input":1}}')
    talk.raw(b'{"type":"usage","id":"u2","parentId":"u1","timestamp":"soon","kind":"k","usage":{"input":2}}')
    assert [made.end_ms for made in made_in(talk)] == [START_MS, START_MS]


def test_a_call_whose_time_pi_measured_has_that_latency() -> None:
    talk = Transcript()
    talk.user("hi")
    talk.assistant("hello", takes=2500, durationMs=2431)
    (made,) = made_in(talk)
    assert (made.latency_s, made.end_ms - (made.start_ms or 0)) == (2.431, 2500)


def test_the_providers_own_words_are_kept() -> None:
    talk = Transcript()
    talk.assistant("hello", rawStopReason="end_turn", providerThinkingLevel="16k")
    (made,) = made_in(talk)
    assert (made.raw_stop_reason, made.provider_thinking_level) == ("end_turn", "16k")


def test_a_change_of_the_model_shows_in_the_first_call_after_it() -> None:
    talk = Transcript()
    first = talk.user("hi")
    answer = talk.assistant("hello")
    talk.entry("model_change", provider="mock", modelId="mock-2")
    talk.user("and now?")
    talk.assistant("me", model="mock-2")
    talk.assistant("still me", model="mock-2")
    talk.user("another branch", at=answer)
    talk.assistant("mock-1 again")
    talk.user("a new root", at=first)
    talk.assistant("mock-3", model="mock-3")
    assert [made.previous_model for made in made_in(talk)] == [None, "mock/mock-1", None, None, None]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("429 Rate limit reached for gpt-5", 429),
        ("503 status code (no body)", 503),
        ('400: {"message":"boom","type":"mock"}', 400),
        ('529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 529),
        ("Error: 401 Incorrect API key provided", 401),
        ("502", 502),
        ("OpenAI API error (429): 429 too many", 429),
        ("Azure OpenAI API error (HTTP 404): Resource not found", 404),
        ('Mistral API error (422): {"detail":"no"}', 422),
        ('got status: 503 . {"error":{"code":503,"message":"The model is overloaded."}}', 503),
        ("Request failed with status code 500", 500),
        ("HTTP request failed. status=403; url=https://example.com", 403),
        ("xAI OAuth refresh failed (HTTP 400)", 400),
        ("HTTP/1.1 502 Bad Gateway", 502),
        ('{"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED"}}', 429),
        ('{"error":{"message":"{\\n  \\"error\\": {\\n    \\"code\\": 503,\\n", "code":0}}', 503),
        ("  500 Internal\nServer Error", 500),
        ("Provider said:\nstatus code: 504", 504),
    ],
)
def test_a_status_that_the_message_shows_is_found(message: str, status: int) -> None:
    assert http_status(message) == status


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        "Connection error.",
        "Request was aborted.",
        "fetch failed: ECONNREFUSED 127.0.0.1:443",
        "This model's maximum context length is 20000 tokens.",
        "prompt is too long: 400 tokens over the limit",
        "200 OK, but no body",
        "4290 requests were made",
        "429s are not shown here",
        "ThrottlingException: Too many tokens, please wait",
        "terminated after 503 ms",
        "x" * 3000 + " status code 500",
    ],
)
def test_no_status_is_made_up(message: str | None) -> None:
    assert http_status(message) is None
