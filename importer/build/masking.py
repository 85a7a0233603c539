"""Masks secrets inside strings: what a key's name, a header, a URL or a command line shows to be one.

detect-secrets was considered for all of it. Its scan takes 1.4 s for a megabyte of sessions, where this takes
0.14 s, and it takes code such as ``token = get_token()`` for a secret. `importer.build.secret_formats` uses
those of its rules that are fast. The work is linear in the text's length, whatever it holds: the characters
that two tries look at hardly overlap.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from importer.build.secret_formats import REDACTED, mask_known_formats

_PASSWORDS = ("password", "passwd", "passphrase", "pwd", "pass")
_NAMES = (*_PASSWORDS, "token", "secret", "credential", "credentials", "key")
_SHORTEST = 8  # characters of a text that can hold a secret and its sign
_BEFORE = 24  # characters before a name that tell what it is

_ESCAPES = r"\\{0,4}"
_QUOTE = rf"(?:{_ESCAPES}[\"'`])?"
_BARE = r"[A-Za-z0-9_\-./+~!@#%^*?$<{]+={0,2}"
_VALUE = (
    rf"(?P<quote>{_ESCAPES}(?P<mark>[\"'`]))?"
    rf"(?P<value>(?(mark)(?:(?!(?P=mark))[^\s\\])+(?={_ESCAPES}(?P=mark))|{_BARE}))"
)
_ASSIGNED = re.compile(
    rf"(?P<sign>{_QUOTE}\]?[ \t]{{0,4}}"
    rf"(?:(?::[ \t]?[A-Za-z]{{1,16}}[ \t]{{0,4}})?={{1,3}}>?|:=?)[ \t]{{0,4}}){_VALUE}"
)
_ARGUMENT = re.compile(rf"(?P<sign>[ \t]{{1,4}})(?!-){_VALUE}")
_OPTION = re.compile(r"(?:^|[\s\"'])--?[\w-]*$")
_KEY_OF = re.compile(
    r"(?:api|access|secret|private|auth|signing|encryption|account|master)[-_]?$", re.IGNORECASE
)

_PROGRAMS = ("mysql", "mariadb", "7z", "sshpass", "docker login", "podman login", "redis-cli", "curl")
_LOGIN = re.compile(
    r"(?:\b(?:mysql\w{0,12}|mariadb\w{0,12}|7za?)\b[^\n]{0,200}?[ \t]-p"
    r"|\b(?:sshpass|docker login|podman login)\b[^\n]{0,200}?[ \t]-p[ \t]?"
    r"|\bredis-cli\b[^\n]{0,200}?[ \t]-a[ \t]"
    r"|(?P<user>[ \t](?:-u|--user|--proxy-user)[ \t=]?[\"']?[^\s:\"'$]{1,64}:))"
    r"(?P<quote>[\"'])?(?P<value>[^\s\"'`\\|;&]+)"
)
_COMMAND_LENGTH = 400  # characters before a login in which to look for curl
_LINE_END = re.compile(r"(?<!\\)(?:\n|\\n)")
_AUTHORIZATION = re.compile(
    rf"(?i)authorization{_QUOTE}\]?[ \t]{{0,4}}[:=,][ \t]{{0,4}}{_QUOTE}"
    r"(?P<scheme>(?:bearer|basic|token|apikey|digest|negotiate)[ \t]{1,4})?(?P<value>[\w.~+/-]{6,}={0,2})"
)
_BEARER = re.compile(r"(?i)\bbearer[ \t]{1,4}(?P<value>[\w.~+/-]{12,}={0,2})")
_COOKIE = re.compile(rf"(?i)\bcookie{_ESCAPES}[\"']?:[ \t]{{0,4}}(?P<value>[\w.-]+=[^\r\n\"'\\]{{8,}})")
_URL = re.compile(r"://[^\s/?#:@\"'`<>\\]{0,128}:(?P<value>[^\s/\"'`<>\\(){}\[\]|]+)@")

_REFERENCES = ("$", "<", "{", "(", "[", "%", "*", ".", "/", "~", "-", "#", ":", "arn:")
_STAND_IN = re.compile(
    r"(?i)(?:(?:your|my|the|some|any|test|example|fake|dummy|new|old|an?)[-_])*"
    r"(?:x{3,}|str|string|text|bytes|number|int|bool(?:ean)?|null|none|nil|undefined|true|false|void|any|your|"
    r"optional|required|unknown|object|array|password|passwd|passphrase|pwd|pass|token|secret|key|apikey|"
    r"api[-_]key|value|hidden|redacted|changeme|placeholder|here|literal|env|prompt|read|write)"
    r"(?:[-_](?:here|value|name))?\d?[;,.?!]*"
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\??\.[A-Za-z_]\w*)+[;!]?|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_HEADER = re.compile(r"(?i)[a-z0-9]+(?:[-_][a-z0-9]+)*[-_](?:token|key|secret)")
_TYPE = re.compile(
    r"(?i)(?:[uif]|u?int|float|sha|md|base|utf|latin|hmac|argon|pbkdf|rsa|aes|ed|[her]s|vec)-?\d{1,3}[a-z]*"
)
_DIGITS = re.compile(r"\d+")


def mask_secrets(text: str) -> str:
    """Return a text with ``[REDACTED]`` for its secrets. What is around them stays.

    ::

        mask_secrets("curl -H 'Authorization: Bearer s3cr3tt0ken99'")
        # "curl -H 'Authorization: Bearer [REDACTED]'"
    """
    if len(text) < _SHORTEST:
        return text
    text = mask_known_formats(text)
    if "://" in text and "@" in text:
        text = _mask(text, _URL, _is_given)
    lowered = _lower(text)
    if "authorization" in lowered:
        text = _mask(text, _AUTHORIZATION, _is_credential)
    if "bearer" in lowered:
        text = _mask(text, _BEARER, lambda found: _looks_random(found["value"], 12))
    if "cookie" in lowered:
        text = _mask(text, _COOKIE, _is_given)
    if " -" in text and any(program in text for program in _PROGRAMS):
        text = _mask(text, _LOGIN, _is_login)
    return _mask_named(text)


def _lower(text: str) -> str:
    """Return a text in small letters, each where it was."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else re.sub("[A-Z]+", lambda found: found[0].lower(), text)


def _mask(text: str, pattern: re.Pattern[str], is_secret: Callable[[re.Match[str]], bool]) -> str:
    """Return the text with secret values masked. A value that is no secret is searched like the rest."""
    spans = []
    position = 0
    while found := pattern.search(text, position):
        position = found.start("value")
        if is_secret(found):
            spans.append(found.span("value"))
            position = found.end("value")
    return _cut_out(text, spans)


def _mask_named(text: str) -> str:
    """Return the text without values that are assigned to secret-looking names or follow such an option."""
    lowered = _lower(text)
    ends = {}
    for name in _NAMES:
        start = lowered.find(name)
        while start >= 0:
            end = start + len(name)
            ends[end] = start
            start = lowered.find(name, end)
    spans: list[tuple[int, int]] = []
    for end in sorted(ends):
        if spans and end <= spans[-1][1]:
            continue
        found = _ASSIGNED.match(text, end) or _ARGUMENT.match(text, end)
        if found and _is_named_secret(text, lowered[ends[end] : end], found):
            spans.append(found.span("value"))
    return _cut_out(text, spans)


def _cut_out(text: str, spans: list[tuple[int, int]]) -> str:
    """Return the text with the mark for spans, which are in their order."""
    if not spans:
        return text
    kept = pairwise([0, *(edge for span in spans for edge in span), len(text)])
    return REDACTED.join(text[start:end] for start, end in list(kept)[::2])


def _is_named_secret(text: str, name: str, found: re.Match[str]) -> bool:
    """Return whether the value of a secret-looking name is a literal. In code, names and calls are none."""
    start = found.start() - len(name)
    before = text[max(0, start - _BEFORE) : start]
    if name == "key" and not _KEY_OF.search(before):
        return False
    if name == "pass" and not before.endswith(("_", "-")):
        return False
    value, sign = found["value"], found["sign"]
    following = text[found.end() : found.end() + 1]
    if not _is_literal(value) or (following and following in "([{…"):
        return False
    is_password = name in _PASSWORDS
    is_option = _OPTION.search(before) is not None
    if sign.isspace():
        return is_option and (found["quote"] is not None or _looks_random(value, 4))
    if found["quote"]:
        if is_password:
            return len(value) >= 4 and not value.istitle()
        return _looks_random(value, 8) and not _HEADER.fullmatch(value)
    if sign == "=" and (is_option or text[start : start + len(name)].isupper()):
        return len(value) >= 4 and (is_password or not value.isdigit())
    return _is_bare_secret(value, following, tight=sign == "=", is_password=is_password)


def _is_bare_secret(value: str, following: str, *, tight: bool, is_password: bool) -> bool:
    """Return whether a value without quotes is a secret, and no variable or type."""
    ends_line = following in ("", "\n", "\r", "\\")
    if value.isidentifier() and not _is_jumble(value):
        if not (ends_line or (tight and following not in (",", ")", ";"))):
            return False
        return _looks_random(value, 6) and (tight or not _TYPE.fullmatch(value)) and (tight or is_password)
    return _looks_random(value, 6 if is_password else 8 if tight else 16)


def _is_given(found: re.Match[str]) -> bool:
    """Return whether a value is no variable, where nothing else but a secret can be."""
    return not found["value"].startswith(("$", "<", "{", "[", "%", "*", "..."))


def _is_login(found: re.Match[str]) -> bool:
    """Return whether a login is given to one of the programs: ``-u a:b`` is one for curl only."""
    if found["user"]:
        before = found.string[max(0, found.start() - _COMMAND_LENGTH) : found.start()]
        _, curl, options = before.rpartition("curl")
        if not curl or _LINE_END.search(options):
            return False
    return _is_given(found)


def _is_credential(found: re.Match[str]) -> bool:
    value = found["value"]
    if not found["scheme"]:
        return _looks_random(value, 16)
    if found["scheme"].lower().startswith("basic"):
        is_word = value.istitle() or value.isupper() or value.islower()
        return _looks_random(value, 6) or (_is_literal(value) and not is_word)
    return _looks_random(value, 6) or (len(value) >= 20 and _is_literal(value))


def _is_literal(value: str) -> bool:
    """Return whether a value stands for itself: no variable, stand-in, path, URL or code."""
    is_reference = value.startswith(_REFERENCES) or "://" in value or "${" in value or "..." in value
    is_sign = not any(map(str.isalnum, value))
    return not (is_reference or is_sign or _STAND_IN.fullmatch(value) or _DOTTED.fullmatch(value))


def _looks_random(value: str, shortest: int) -> bool:
    """Return whether a value mixes letters and digits."""
    mixed = len(value) >= shortest and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and _is_literal(value)


def _is_jumble(value: str) -> bool:
    """Return whether letters and digits alternate as in keys, and hardly ever in names."""
    return len(value) >= 12 and len(_DIGITS.findall(value)) >= 3
