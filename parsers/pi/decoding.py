"""Decodes a line to a typed entry: fast where it is as pi documents it, forgiving where it is not."""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from parsers.pi import entries as e

T = TypeVar("T")
AnyLine = e.Line | e.UnknownEntry | e.ContextReset

_ROLES: dict[str, type[Struct]] = {str(c.__struct_config__.tag): c for c in get_args(e.Message)}
_TYPES: dict[str, type[Struct]] = {str(c.__struct_config__.tag): c for c in get_args(e.Line)}

_ENTRY_START = re.compile(rb'\{"type": ?"(?:' + "|".join(_TYPES).encode() + rb')"')
_NAME = re.compile(r"[A-Za-z_][\w-]{0,30}")
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MOST_TRIES = 50
_MOST_TRIED = 64 * 1024 * 1024  # bytes: a long line is not read fifty times
_MOST_DROPPED = 100  # wrong values of a line that are told apart; a list with more of them ends there


# Half of a surrogate pair: JavaScript writes one when a text was cut inside an emoji; it is no UTF-8.
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONGEST_INT = 300  # digits; Python refuses to read some thousands of them, and a double ends at 309


class BadLineError(ValueError):
    """The line holds no JSON object that could be an entry."""


class Decoded(NamedTuple):
    """An entry, and the dotted names of known fields whose value had a wrong type and was left out."""

    line: AnyLine
    dropped: tuple[str, ...]


class KnownMessageEntry(e.MessageEntry, tag="message"):
    """A message entry whose role must be a known one: msgspec's unions take no struct without a tag."""

    message: e.Message | None = None


_decode = msgspec.json.Decoder(
    Union[tuple(KnownMessageEntry if kind is e.MessageEntry else kind for kind in get_args(e.Line))]  # noqa: UP007
).decode


def decode_line(line: bytes) -> Decoded:
    """Decode one line of a session file.

    Args:
        line: the bytes of the line; white space, CR and NUL around it are passed over.

    Returns:
        The entry, and which of its known fields were left out for their wrong type.

    Raises:
        BadLineError: the line is no JSON object with a ``type``.
    """
    try:
        return Decoded(_decode(line), ())
    except _ERRORS:
        return _decode_bad(line)


def _decode_bad(line: bytes) -> Decoded:
    """Decode a line that is not as pi documents it."""
    line = line.strip(b" \t\r\n\0")
    if not line.isascii():
        line = repair_utf8(line)
    try:
        return Decoded(_decode(line), ())
    except _ERRORS:
        return decode_object(decode_json(line))


def decode_after_torn(line: bytes) -> Decoded | None:
    """Decode the entry at the end of a line that begins with a torn one.

    A crash can leave a line without its newline, and the next run of an older pi appends right behind it.
    """
    tried = 0
    for start in islice(_ENTRY_START.finditer(line, 1), _MOST_TRIES):
        tried += len(line) - start.start()
        if tried > max(_MOST_TRIED, len(line)):
            return None
        try:
            return decode_line(line[start.start() :])
        except BadLineError:
            continue
    return None


def decode_object(value: Any) -> Decoded:
    """Convert a line's JSON value to an entry; returns and raises as :func:`decode_line`."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise BadLineError("no JSON object with a type")
    dropped: list[str] = []
    kind = _TYPES.get(value["type"])
    if kind is None:
        known = {k: v for k, v in value.items() if k not in ("message", "fields")}
        entry = _struct(known, e.UnknownEntry, "", dropped)
        entry.fields = value
    elif kind is e.MessageEntry:
        message = value.get("message")
        rest = {k: v for k, v in value.items() if k != "message"}
        entry = _struct(rest, e.MessageEntry, "", dropped)
        entry.message = _message(message, dropped)
    else:
        entry = _struct(value, kind, "", dropped)
    return Decoded(entry, tuple(dropped))


def _message(value: Any, dropped: list[str]) -> e.Message | e.UnknownMessage | None:
    if not isinstance(value, dict):
        dropped.append("message")
        return None
    role = value.get("role")
    kind = _ROLES.get(role, e.UnknownMessage) if isinstance(role, str) else e.UnknownMessage
    message: Any
    if kind is e.UnknownMessage:
        known = {k: v for k, v in value.items() if k != "fields"}
        message = _struct(known, kind, "message.", dropped)
        message.fields = value
    else:
        message = _struct(value, kind, "message.", dropped)
    return message  # type: ignore[no-any-return]


def _struct(value: dict[str, Any], kind: type[Any], prefix: str, dropped: list[str]) -> Any:
    """Convert a value to a struct of ``kind``, without the fields that do not fit."""
    fields: dict[str, Any] = {}
    for field in _fields(kind):  # type: ignore[arg-type]  # a struct's type has a hash
        if field.encode_name not in value:
            continue
        name = prefix + field.encode_name
        found = _value(value[field.encode_name], field.type, name, dropped)
        if found is not msgspec.UNSET:
            fields[field.name] = found
    return kind(**fields)


@cache
def _fields(kind: type[Any]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _value(value: Any, kind: Any, name: str, dropped: list[str]) -> Any:
    """Convert a value, or the part of it that fits, to ``kind``; UNSET where no part does."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        pass
    if isinstance(value, float) and value.is_integer() and int in _options(kind):
        return int(value)
    for option in _options(kind):
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, Struct):
            return _struct(value, option, name + ".", dropped)
        origin, args = get_origin(option), get_args(option)
        if isinstance(value, list) and origin is list:
            return [v for _, v in _fitting(enumerate(value), args[0], name, dropped)]
        if isinstance(value, dict) and origin is dict:
            return dict(_fitting(value.items(), args[1], name, dropped))
    dropped.append(name)
    return msgspec.UNSET


def _fitting(
    items: Iterable[tuple[Any, Any]], kind: Any, name: str, dropped: list[str]
) -> Iterator[tuple[Any, Any]]:
    """Yield those of a list's or object's values that fit, each as ``kind``."""
    for key, value in items:
        if len(dropped) >= _MOST_DROPPED:
            return
        # a name can be anything, and no message repeats what a person wrote
        place = f"[{key}]" if isinstance(key, int) else f".{key}" if _NAME.fullmatch(key) else ".*"
        found = _value(value, kind, name + place, dropped)
        if found is not msgspec.UNSET:
            yield key, found


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def repair_utf8(line: bytes) -> bytes:
    """Replace what is no UTF-8 by U+FFFD, as pi does when it reads a file."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode(errors="replace").encode()
    return line


def _whole_pair(match: re.Match[bytes]) -> bytes:
    escaped, pair = match.group(1), match.group(2)
    return bytes(escaped + (pair or rb"\ufffd"))


def decode_json(line: bytes) -> Any:
    """Decode JSON as JavaScript would read it, from other writers than pi, too.

    Raises:
        BadLineError: it is no JSON.
    """
    try:
        return msgspec.json.decode(line)
    except UnicodeDecodeError:
        line = repair_utf8(line)
    except (msgspec.DecodeError, RecursionError):
        pass
    if b"\\u" in line:
        line = _LONE_SURROGATE.sub(_whole_pair, line)
    try:
        # takes NaN and numbers past a double's range, which other writers leave; JavaScript makes them null
        return json.loads(line, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError):
        raise BadLineError("not JSON") from None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _whole(digits: str) -> int | float | None:
    return int(digits) if len(digits) < _LONGEST_INT else _finite(digits)
