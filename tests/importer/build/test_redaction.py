"""No secret value, media or over-long text leaves, and all else stays as it is."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import textwrap

import pytest

from importer.build.redaction import DEPTH_LIMIT, REDACTED, Redactor, mask_media, redact
from tests.building import properties
from tests.command import ROOT
from tests.session_writer import SessionWriter, text, tool_call

MEDIA = "[base64 image redacted]"


def media(start: bytes, size: int = 3000) -> str:
    return base64.b64encode(start + random.Random(7).randbytes(size)).decode()


PNG = media(b"\x89PNG\r\n\x1a\n")
JPEG = media(b"\xff\xd8\xff\xe0\x00\x10JFIF")
STARTS = {
    "png": PNG,
    "jpeg": JPEG,
    "gif": media(b"GIF89a"),
    "webp": media(b"RIFF\x24\x00\x00\x00WEBP"),
    "pdf": media(b"%PDF-1.7"),
    "mp3": media(b"ID3\x04\x00\x00"),
    "ogg": media(b"OggS\x00\x02"),
    "zip": media(b"PK\x03\x04\x14\x00"),
}


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apiKey",
        "API-KEY",
        "X-Api-Key",
        "apikey",
        "GITHUB_TOKEN",
        "tokens",
        "clientSecret",
        "Password",
        "db_password_hash",
        "Authorization",
        "Set-Cookie",
        "sessionId",
        "BEARER",
        "credentials",
    ],
)
def test_a_key_that_sounds_secret_loses_its_value_at_any_depth(key):
    for value in ("hush", 5, None, ["hush"], {"inner": "hush"}):
        assert redact({key: value}) == {key: REDACTED}
        assert redact([{"a": [{"b": {key: value}}]}]) == [{"a": [{"b": {key: REDACTED}}]}]


@pytest.mark.parametrize("key", ["path", "key", "author", "auth", "pass", "cook", "sess", "command"])
def test_other_keys_keep_theirs(key):
    assert redact({key: "shown"}) == {key: "shown"}


def test_what_lies_deeper_than_eight_levels_is_left_out():
    value: object = {"leaf": "deep"}
    for _ in range(8):
        value = {"in": value}
    assert redact(value) == value
    shown = redact({"in": value})
    for _ in range(9):
        shown = shown["in"]
    assert shown == DEPTH_LIMIT
    assert "deep" not in json.dumps(redact([[[[[[[[[["deep"]]]]]]]]]]))


def test_a_long_value_is_cut_and_says_by_how_much():
    redactor = Redactor(10)
    assert redactor.state("x" * 10) == "x" * 10
    assert redactor.state("x" * 15) == "x" * 10 + "...[truncated 5 chars]"
    assert redactor.state({"a": "y" * 20}) == '{"a":"yyyy...[truncated 18 chars]'
    assert redactor.text("é" * 11) == "é" * 10 + "...[truncated 1 chars]"
    assert redactor.state(None) is None


def test_a_secret_beyond_the_cut_is_not_laid_bare():
    assert "hush" not in (Redactor(30).state({"token": "hush", "a": "b" * 50}) or "")


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("width", [0, 64, 76], ids=["one line", "wrapped at 64", "wrapped at 76"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n    "], ids=["lf", "crlf", "indented"])
def test_base64_media_in_a_text_is_replaced(kind, width, line_end):
    body = line_end.join(textwrap.wrap(STARTS[kind], width)) if width else STARTS[kind]
    assert mask_media(f"$ base64 file\n{body}\ndone: 1 file.") == f"$ base64 file\n{MEDIA}\ndone: 1 file."


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_media_in_json_inside_a_text_is_replaced(line_end):
    nested = json.dumps({"image": line_end.join(textwrap.wrap(PNG, 76)), "note": "kept"})
    assert json.loads(mask_media(nested)) == {"image": MEDIA, "note": "kept"}


@pytest.mark.parametrize(
    "head", ["data:image/png;base64,", "data:audio/wav;codec=1;base64,", "data:;base64,"]
)
def test_a_data_url_is_replaced_and_what_follows_stays(head):
    assert mask_media(f'<img src="{head}QUJD+/=="> and more') == f'<img src="{MEDIA}"> and more'
    assert mask_media(f"see {head}QUJDREVG here and there") == f"see {MEDIA} here and there"
    wrapped = "\n".join(textwrap.wrap(PNG, 76))
    assert mask_media(f"{head}{wrapped}\n\nThe end of it") == f"{MEDIA}\n\nThe end of it"


@pytest.mark.parametrize(
    "value",
    [
        {"type": "image", "data": "QUJD", "mimeType": "image/x-icon"},
        {"type": "base64", "media_type": "image/x-icon", "data": "QUJD"},
        {"type": "image", "data": "QUJD"},
    ],
)
def test_the_data_of_a_media_block_is_replaced_whatever_it_looks_like(value):
    assert redact([value]) == [{**value, "data": MEDIA}]


def ordinary_texts() -> dict[str, str]:
    digests = [hashlib.sha512(str(n).encode()).digest() for n in range(3000)]
    return {
        "hex digests": "\n".join(f"{d.hex()}  file-{n}.txt" for n, d in enumerate(digests)),
        "bare hex digests": "\n".join(d.hex() for d in digests),
        "lock file": "\n".join(f'"integrity": "sha512-{base64.b64encode(d).decode()}",' for d in digests),
        "go sums": "\n".join(f"x/y v1 h1:{base64.b64encode(d[:32]).decode()}" for d in digests),
        "source": "\n".join(path.read_text() for path in sorted((ROOT / "importer").glob("*.py"))),
        "paths": "\n".join(f"/usr/share/{'deep/' * 30}9j/{n}" for n in range(500)),
        "one long word": "abcdefghij" * 5000,
        "a short start": "iVBORw0KGgo is how a PNG starts, /9j/ a JPEG",
    }


@pytest.mark.parametrize("kind", ordinary_texts())
def test_an_ordinary_long_text_is_not_mistaken_for_media(kind):
    ordinary = ordinary_texts()[kind]
    assert mask_media(ordinary) == ordinary


def test_a_megabyte_of_media_is_found_at_once():
    body = "\n".join(textwrap.wrap(media(b"\x89PNG\r\n\x1a\n", 1_000_000), 76))
    assert mask_media(body + "\nend of it") == MEDIA + "\nend of it"


def test_redaction_reaches_tool_calls_and_results_wherever_they_stand(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    given = {"env": [{"API_TOKEN": "hush-1"}], "body": "z" * 400}
    story.assistant(text("look: " + PNG), tool_call("c", "post", given), stop="toolUse")
    story.result("c", "post", text("w" * 400 + JPEG), details={"cookie": "hush-2", "shot": JPEG})
    story.turn("data:image/png;base64," + PNG, "done")
    asked, answered = properties(story.path, "generation", max_attribute_length=300)
    (span,) = properties(story.path, "span", max_attribute_length=300)
    everything = json.dumps([asked, answered, span])
    for leak in ("hush", PNG[12:60], JPEG[12:60], PNG[-60:], JPEG[-60:], "z" * 301, "w" * 301):
        assert leak not in everything

    arguments = '{"env":[{"API_TOKEN":"[REDACTED]"}],"body":"' + "z" * 256 + "...[truncated 146 chars]"
    assert len(arguments.partition("...")[0]) == 300
    parts = asked["$ai_output_choices"][0]["content"]
    assert parts[0]["text"] == f"look: {MEDIA}"
    assert parts[1]["function"]["arguments"] == span["$ai_input_state"] == arguments
    _, assistant, tool, user = answered["$ai_input"]
    assert assistant["content"] == f"look: {MEDIA}"
    assert assistant["tool_calls"][0]["function"]["arguments"] == arguments
    assert tool["content"] == "w" * 300 + f"...[truncated {100 + len(MEDIA)} chars]"
    assert user["content"] == answered["$ai_user_prompt"] == MEDIA


def test_secrets_in_strings_are_masked_at_any_depth_unless_that_is_turned_off():
    secret = "ghp" + "_" + "a1" * 18
    value = {"command": f"echo {secret}", "more": [{"deep": [f"API_KEY={secret}"]}], secret: True}
    masked = {"command": f"echo {REDACTED}", "more": [{"deep": [f"API_KEY={REDACTED}"]}], REDACTED: True}
    assert json.loads(Redactor(1000).state(value)) == masked
    assert json.loads(Redactor(1000, secrets=False).state(value)) == value
    assert Redactor(1000).text(secret) == REDACTED
    assert Redactor(1000, secrets=False).text(secret) == secret


def test_media_and_secrets_of_one_text_both_go():
    assert Redactor(1000).text(f"{PNG} password=hunter2 {JPEG}") == f"{MEDIA} password={REDACTED} {MEDIA}"


def test_what_a_schema_says_of_a_token_stays():
    schema = {"properties": {"api_key": {"type": "string", "default": "ghp" + "_" + "a1" * 18}}}
    masked = {"properties": {"api_key": {"type": "string", "default": REDACTED}}}
    assert Redactor(10).strings(schema) == masked
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert DEPTH_LIMIT in json.dumps(Redactor(10).strings(deep))


def test_of_a_text_that_no_event_can_hold_only_the_beginning_is_looked_at_and_kept():
    secret = "ghp" + "_" + "a1" * 18
    text = f"{secret} " + "p" * 5_000_000 + f" {secret}"
    cleaned = Redactor(100).clean(text)
    assert len(cleaned) < 1_100_000
    assert secret not in cleaned
    assert cleaned.endswith(f"p...[truncated {len(text) - 1024 * 1024} chars]")
    assert Redactor(100).text(text).startswith(REDACTED + " ppp")
    assert Redactor(100, secrets=False).clean(text) == text
