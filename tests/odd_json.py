"""JSON as no writer should leave it: keys twice, numbers in odd forms, escapes, blanks, broken UTF-8."""

from __future__ import annotations

import json
import random
from typing import Any

NUMBERS = [
    "0", "-0", "-1", "7", "1.0", "1.5", "1e3", "1E+2", "1e-7", "0.1", "0.0", "-0.0", "0e0", "4.35",
    "0.30000000000000004", "0.021727999999999997", "5e-324", "1e22", "1e23", "9007199254740991",
    "9007199254740992", "9007199254740993", "-9007199254740993", "18446744073709551615",
    "18446744073709551616", "123456789012345", "1234567890123456", "123456789012345678901234567890",
    "1e400", "-1e400", "1e-400", "1.7976931348623157e308", "2.2250738585072011e-308",
    "1.7976931348623159e308", "8.41e21", "9.5e-22", "9007199254740993e-1", "0.000001", "1e99", "1e100",
    "1e-99", "1750683728760", "1750683728760.0", "1750683728760.5", "253402128000000", "253402128000001",
    "01", "1.", "-", "+1", ".5", "0x10", "NaN", "Infinity", "-Infinity", "1e", "1e+", "1.e1", "00", "-01",
    "1_000", "1e5.5", "99999999999999999999999999999999999999999", "0.1234567890123456789012345678",
]  # fmt: skip
TIMES = [
    "2025-06-23T12:58:05.626Z", "2025-06-23T12:58:05Z", "2025-02-29T00:00:00.000Z",
    "2024-02-29T23:59:59.999Z", "2025-06-23T24:00:00.000Z", "2025-06-23T12:58:60.000Z",
    "2025-06-23T12:58:05.626z", "2025-06-23T12:58:05.626+02:00", "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z", "9999-12-31T23:59:59.999Z",
    "9999-12-29T23:59:59.999Z", "0000-01-01T00:00:00.000Z", "2025-00-10T00:00:00.000Z",
    "2025-13-10T00:00:00.000Z", "2025-04-31T00:00:00.000Z", "2025-06-23T12:58:05,626Z",
    "2025-06-23T12:58:05.6260Z", "20250623T125805.626Z", "1900-02-29T00:00:00.000Z",
    "2100-02-29T00:00:00.000Z", "2000-02-29T00:00:00.000Z", "2025-06-23T1a:58:05.626Z",
    "2025-W26-1T12:58:05.626Z",
]  # fmt: skip
TEXTS = [
    "", " ", "\\n", "\\t \\r\\n\\f", "\\b", "\\u0020", "\\u00a0", "\\u2003", "\\u0041", "\\ud83d\\ude00",
    "\\ud83d", "\\udc00", "\\ud83d\\u0041", "\\u0000", "\\x", "\\", "\\u12", "\\u12g4", "\\/", '\\"',
    "\\\\", "é", "\u00a0", "\u2003", "\u3000", "\u1680", "\u0085", "\u2028", "日本", "😀", "\x7f", "\t",
    "\x00", "\udcff", "\udced\udca0\udc80", "\udcc3", "\udcc0\udc80", "\udcf4\udc90\udc80\udc80",
    "\udce2\udc82", "a" * 599, "a" * 600, "a" * 601, "text", "toolCall", "thinking", "image", "assistant",
    "toolResult", "user", "message", "stop", "toolUse", "length", "error", "aborted", "x\\ny", "x\\u006e",
]  # fmt: skip
VALUES = [
    *NUMBERS, *(f'"{time}"' for time in TIMES), *(f'"{text}"' for text in TEXTS), "null", "true", "false",
    "nul", "True", "[]", "{}", "[[]]", "[null]", '{"a":1}', '{"a":1,}', "[1,]", "[,]", "{,}", '{"total":1}',
    '{"total":null}', '{"input":1,"total":0.1}', '{"input":null,"total":0.1}', "[1 2]", '{"a" 1}', "{a:1}",
    '[{"type":"text","text":"x"}]', '[{"type":"text"}]', '[{"type":"text","text":null}]',
    '[{"type":"text","text":7}]', '[{"type":"toolCall","id":"a"}]', '[{"type":"toolCall","id":""}]',
    '[{"type":"image","data":"x"}]', '[{"text":"x"}]', '[{"type":"text","text":"x","text":"y"}]',
    '[{"type":"thinking","thinking":"x","text":"y"}]', '["x"]', "[{}]",
    '[{"type":"toolCall","id":"a"},{"type":"toolCall","id":"a"}]',
    '[{"type":"toolCall","id":"a","text":"x"}]', '[{"type":"text","text":"x","redacted":null}]',
    '[{"type":"text","text":"x","redacted":true,"id":"i","name":"n"}]', "[" * 59 + "]" * 59,
    "[" * 70 + "]" * 70, '{"a":' * 60 + "1" + "}" * 60, "[" * 2000 + "]" * 2000, '{"a":[' * 20 + "]}" * 20,
    "[" + ",".join(['{"type":"toolCall","id":"a","name":"n"}'] * 33) + "]",
]  # fmt: skip
KEYS = [
    "type", "id", "parentId", "timestamp", "message", "role", "content", "provider", "model",
    "responseModel", "responseId", "thinkingLevel", "providerThinkingLevel", "usage", "stopReason",
    "rawStopReason", "errorMessage", "durationMs", "input", "output", "cacheRead", "cacheWrite",
    "reasoning", "reasoningTokens", "totalTokens", "cost", "total", "text", "thinking", "redacted", "name",
    "arguments", "toolCallId", "toolName", "details", "nestedCalls", "isError", "api", "", "x", "\\u0069d",
    "ro\\u006ce", "é", "\udcff", "raw_text", "cache_read",
]  # fmt: skip
STYLES = [(",", ":")] * 4 + [(", ", ": "), (" ,  ", " : "), (",\t", ":"), (",\r", ":")]

Pairs = list[tuple[str, Any]]


class Token(str):
    """JSON as it is written."""


class Object:
    """A JSON object whose keys may come twice."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs


def damaged(chance: random.Random, line: bytes) -> bytes:
    """Change something about a line, sometimes to what means the same."""
    kind = chance.random()
    if kind < 0.2:
        return with_other_bytes(chance, line)
    try:
        value = json.loads(line, object_pairs_hook=Object)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            _change(chance, value)
        text = _written(chance, value, chance.choice(STYLES), chance.random() < 0.5)
    except (ValueError, RecursionError):
        return with_other_bytes(chance, line)
    line = text.encode("utf-8", "surrogateescape")
    if chance.random() < 0.1:
        line = chance.choice((b" ", b"\t", b"\0", b"\xef\xbb\xbf", b"")) + line
    if chance.random() < 0.1:
        line += chance.choice((b" ", b"\r", b"\0", b"}", b"x", b"  ", b"\t", b",", b'{"type":"label"}'))
    return with_other_bytes(chance, line) if chance.random() < 0.05 else line


def with_other_bytes(chance: random.Random, line: bytes) -> bytes:
    """Change, remove, double or insert a byte of a line, or cut it."""
    at = chance.randrange(len(line) + 1)
    kind = chance.random()
    if kind < 0.3 and at < len(line):
        return line[:at] + bytes([line[at] ^ (1 << chance.randrange(8))]) + line[at + 1 :]
    if kind < 0.5:
        return line[:at] + bytes([chance.choice(b'\\"{}[]:,0-9eE.\x00\x1f \x80\xff\xc3\xed')]) + line[at:]
    if kind < 0.7:
        return line[:at] + line[at + chance.randrange(1, 5) :]
    if kind < 0.8:
        return line[:at] + line[at : at + chance.randrange(1, 20)] + line[at:]
    if kind < 0.9:
        return line[:at]
    return line[:at] + chance.choice(VALUES).encode("utf-8", "surrogateescape") + line[at:]


def _change(chance: random.Random, value: Any) -> None:
    objects = [each for each in _inside(value) if isinstance(each, Object)]
    if not objects:
        return
    pairs = chance.choice(objects).pairs
    kind = chance.random()
    if kind < 0.35 and pairs:
        at = chance.randrange(len(pairs))
        pairs[at] = (pairs[at][0], Token(chance.choice(VALUES)))
    elif kind < 0.5:
        pairs.insert(
            chance.randrange(len(pairs) + 1), (Token(chance.choice(KEYS)), Token(chance.choice(VALUES)))
        )
    elif kind < 0.65 and pairs:
        pairs.insert(chance.randrange(len(pairs) + 1), chance.choice(pairs))
    elif kind < 0.75:
        chance.shuffle(pairs)
    elif kind < 0.85 and pairs:
        pairs.pop(chance.randrange(len(pairs)))
    elif pairs:
        at = chance.randrange(len(pairs))
        pairs[at] = (Token(chance.choice(KEYS)), pairs[at][1])


def _key(key: str) -> str:
    return f'"{key}"' if isinstance(key, Token) else json.dumps(key)


def _inside(value: Any) -> list[Any]:
    """List a value and all those in it."""
    inner = [each for _, each in value.pairs] if isinstance(value, Object) else value
    inner = inner if isinstance(inner, list) else []
    return [value, *(found for each in inner for found in _inside(each))]


def written(value: Any) -> bytes:
    """Write JSON as pi does, but for what is odd in it."""
    return _written(random.Random(0), value, (",", ":"), False, 0).encode("utf-8", "surrogateescape")


def _written(
    chance: random.Random, value: Any, style: tuple[str, str], in_ascii: bool, escapes: float = 0.02
) -> str:
    comma, colon = style
    if isinstance(value, Token):
        return value
    if isinstance(value, Object):
        pairs = (
            f"{_key(key)}{colon}{_written(chance, each, style, in_ascii, escapes)}"
            for key, each in value.pairs
        )
        return "{" + comma.join(pairs) + "}"
    if isinstance(value, list):
        return "[" + comma.join(_written(chance, each, style, in_ascii, escapes) for each in value) + "]"
    text = json.dumps(value, ensure_ascii=in_ascii or not _can_be_written(value))
    if isinstance(value, str) and len(text) > 3 and chance.random() < escapes:
        at = chance.randrange(1, len(text) - 1)
        if text[at] not in '\\"u' and text[at - 1] != "\\" and "\\u" not in text[max(0, at - 5) : at]:
            text = text[:at] + f"\\u{ord(text[at]):04x}"[:6] + text[at + 1 :]
    return text


def _can_be_written(value: Any) -> bool:
    """Tell whether a text holds no half of a surrogate pair."""
    return not isinstance(value, str) or not any("\ud800" <= c <= "\udfff" for c in value)
