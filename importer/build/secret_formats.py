"""Masks secrets that their own form gives away, such as ``ghp_…`` or a private key block.

Where a vendor's prefix makes it cheap, the rules are those of detect-secrets (1.5.0, Yelp). Those for JWTs,
OpenAI and npm keys, URLs and keywords take quadratic time on a hostile text, that for private keys finds the
first line only, and those for Discord, Artifactory, Cloudant, IBM, Mailchimp and SoftLayer have no prefix to
look for first, or also strike in ordinary code: what is needed of them, and newer formats, are rules here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator
from functools import cache

REDACTED = "[REDACTED]"

# A token begins where no other word goes on; an escaped line break, as JSON in a text has it, is no word.
WORD_START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"

_LIBRARY_PREFIXES = (
    *("AKIA", "ASIA", "ABIA", "ACCA", "AccountKey="),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941", "glcbt-", "glimt-", "glptt-", "glagent-"),
    *("gloas-", "pypi-AgE", "SG.", "sq0csp-", "xox", "hooks.slack.com", "k_live_", ":AA"),
)
_OWN = {
    "sk-": r"[\w-]{20,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek and many more
    "glpat-": r"[\w-]{20,}(?:\.[\w-]+)*",  # GitLab's routable tokens are longer, and go on after dots
    "glrt-": r"[\w-]{20,}(?:\.[\w-]+)*",
    "github_pat_": r"\w{22,}",
    "ghs_": r"\d{1,20}_[\w-]{10,}(?:\.[\w-]+)*",
    "npm_": r"[A-Za-z0-9]{36,}",
    "AIza": r"[\w-]{35,}",
    "GOCSPX-": r"[\w-]{20,}",
    "ya29.": r"[\w-]{20,}",
    "sk_test_": r"\w{16,}",
    "rk_test_": r"\w{16,}",
    "whsec_": r"[A-Za-z0-9+/=]{24,}",
    "xapp-": r"\d-[\w-]{20,}",
    "xoxe": r"(?:\.xox[a-z])?-[\w-]{20,}",
    "hf_": r"[A-Za-z0-9]{30,}",
    "gsk_": r"[A-Za-z0-9]{40,}",
    "xai-": r"[A-Za-z0-9]{40,}",
    "nvapi-": r"[\w-]{40,}",
    "pplx-": r"[A-Za-z0-9]{40,}",
    "r8_": r"[A-Za-z0-9]{30,}",
    "phc_": r"[A-Za-z0-9]{30,}",
    "phx_": r"[A-Za-z0-9]{30,}",
    "phs_": r"[A-Za-z0-9]{30,}",
    "dop_v1_": r"[0-9a-f]{40,}",
    "shpat_": r"[0-9a-fA-F]{32,}",
    "dapi": r"[0-9a-f]{32}(?:-\d)?",
    "hvs.": r"[\w-]{24,}",
    "sbp_": r"[0-9a-f]{40,}",
    "lin_api_": r"[A-Za-z0-9]{32,}",
    "ntn_": r"[A-Za-z0-9]{40,}",
    "tskey-": r"[a-z]+-[\w-]{20,}",
    "AGE-SECRET-KEY-1": r"[0-9A-Z]{40,}",
    "eyJ": r"[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*)+",  # a JWT; base64 of other JSON has no dots
    "SK": r"[0-9a-f]{32}(?![\w-])",  # Twilio
}

_WORD = string.ascii_letters + string.digits + "_-."
_SHORTEST = 20  # characters of a token in a row, its prefix included; signs tell of shorter ones
_SHAPE = bytes(ord("w") if chr(code) in _WORD else ord(" ") for code in range(256))
_LONG = b"w" * _SHORTEST
_BEFORE = 2  # characters before a long word that tell what it is, such as the ``1:`` of Telegram's


class _Gate:
    """Tells in one pass which texts can hold a token: most hold no word that is long enough.

    To look for sixty prefixes in each text took longer than all other rules together.

    Args:
        prefixes: what tokens begin with, or what stands right before them.
        short: signs of all other tokens, in small letters.
    """

    def __init__(self, prefixes: Collection[str], short: Collection[str]) -> None:
        self._prefixes = [prefix.encode() for prefix in prefixes]
        self._short = short

    def lets_through(self, text: str) -> bool:
        """Return whether a text may hold a token. Where this is False, it holds none."""
        words = b" ".join(_find_long_words(text.encode("utf-8", "surrogatepass")))
        if words and any(prefix in words for prefix in self._prefixes):
            return True
        lowered = text.lower()
        return any(sign in lowered for sign in self._short)


def _find_long_words(text: bytes) -> Iterator[bytes]:
    """Yield the words of a text that are long enough, each with the characters before it."""
    shape = text.translate(_SHAPE)
    start = shape.find(_LONG)
    while start >= 0:
        end = shape.find(b" ", start)
        end = end if end >= 0 else len(shape)
        yield text[max(0, start - _BEFORE) : end]
        start = shape.find(_LONG, end)


# What rules find without a prefix above, and the signs of tokens that are short or hold other characters.
_OTHER_STARTS = ("A3T", *(f"{digit}:" for digit in range(10)))
_GATE = _Gate(
    {*_OWN, *_LIBRARY_PREFIXES, *_OTHER_STARTS},
    ("xox", "slack.com", "ghs_", "whsec_", "accountkey=", "sq0csp-"),
)

# Up to the end line. Without one, the lines of base64 that follow: the text was cut, or it is no key.
_ARMOR = r"PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY = re.compile(
    rf"-----BEGIN [A-Z0-9 ]{{0,40}}?{_ARMOR}"
    rf"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{{0,40}}?{_ARMOR}"
    r"|(?:(?:\\[nrt]|[\s\"'+,>|])*+[A-Za-z0-9+/]{30,}+={0,2})+"
    r"(?:(?:\\r|\r)?(?:\\n|\n)[A-Za-z0-9+/]++={0,2}(?![^\s\\\"']))?)"
)
_BASE64 = re.compile("[A-Za-z0-9+/]{30}")


def mask_known_formats(text: str) -> str:
    """Return a text with ``[REDACTED]`` for private keys and tokens of a known form."""
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(_replace_key, text)
    if not _GATE.lets_through(text):
        return text
    if any(prefix in text for prefix in _OWN):
        text = _own().sub(_replace_token, text)
    if any(prefix in text for prefix in _LIBRARY_PREFIXES):
        text = _library().sub(_replace_token, text)
    return text


def _replace_key(match: re.Match[str]) -> str:
    """Return the mark. Code that looks for a key's first and last line stays."""
    return match[0] if "(" in match[0] and not _BASE64.search(match[0]) else REDACTED


def _replace_token(match: re.Match[str]) -> str:
    """Return the mark. Words in small letters and dashes, like a CSS class, stay."""
    found = match[0]
    return found if found.islower() and not any(map(str.isdigit, found)) else REDACTED


@cache
def _own() -> re.Pattern[str]:
    rules = (re.escape(prefix) + rest for prefix, rest in _OWN.items())
    return re.compile(f"{WORD_START}(?:{'|'.join(rules)})", re.ASCII)


@cache
def _library() -> re.Pattern[str]:
    """Return the library's rules as one. Its import takes 0.2 s, and few sessions need it."""
    from detect_secrets.plugins import (
        aws,
        azure_storage_key,
        github_token,
        gitlab_token,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
    )

    rules: list[re.Pattern[str]] = [
        aws.AWSKeyDetector.denylist[0],  # the second wants a variable's name, which masking.py looks for
        *azure_storage_key.AzureStorageKeyDetector.denylist,
        *github_token.GitHubTokenDetector.denylist,
        *gitlab_token.GitLabTokenDetector.denylist,
        *pypi_token.PypiTokenDetector.denylist,
        *sendgrid.SendGridDetector.denylist,
        *slack.SlackDetector.denylist,
        *square_oauth.SquareOAuthDetector.denylist,
        *stripe.StripeDetector.denylist,
        *telegram_token.TelegramBotTokenDetector.denylist,
    ]
    any_rule = "|".join(f"(?{'i' if r.flags & re.IGNORECASE else ''}:{r.pattern})" for r in rules)
    # Keys became longer than the rules know: what goes on like a token is a part of it.
    return re.compile(rf"{WORD_START}(?:{any_rule})[\w-]*", re.ASCII)
