"""PostHog's side of a delivery: which address takes which event, and what its answers mean.

PostHog takes `$ai_*` events at `/batch/` up to 983,040 bytes and at `/i/v0/ai/batch/` up to 8 MiB each. Both
refuse a whole request for one larger event, and the second takes nothing but AI events (PostHog's
rust/capture/src: config.rs, `ai_max_event_bytes`, and router.rs). Servers without the second answer 404.
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urljoin, urlsplit

from importer.build.event import Envelope
from importer.build.trimming import EVENT_LIMIT
from importer.errors import DeliveryError, RefusedError
from importer.quoting import shown_host

if TYPE_CHECKING:
    import requests

Choice = Literal["auto", "batch", "ai"]

MOST_IN_A_ROW = 10
_KIB = 1024
_ANY_SIZE = 2**62
_ABSENT_STATUS = frozenset({404, 405, 501})
_TRIM_LIMITS = tuple(kib * _KIB for kib in (512, 256, 128, 64, 32, 16))
_ANSWER_BYTES = 64 * _KIB


class Endpoint(NamedTuple):
    """An address that takes events.

    Attributes:
        path: behind the host, with slashes around it.
        event_limit: most bytes of JSON that one event may have.
        trim_limits: bytes to try, largest first, for an event that the server still finds too large.
    """

    path: str
    event_limit: int
    trim_limits: tuple[int, ...]

    def pieces(self, envelope: Envelope) -> list[bytes]:
        """Return the event's JSON as it is sent here, not yet joined."""
        return envelope.pieces(self.event_limit)

    def size_of(self, envelope: Envelope) -> int:
        """Return the bytes of what `pieces` returns."""
        if self.event_limit == EVENT_LIMIT:
            return envelope.size
        return envelope.size_within(self.event_limit)

    def cuts(self, envelope: Envelope) -> bool:
        """Return whether the event is too large to be sent whole here."""
        return envelope.size_within(_ANY_SIZE) > self.event_limit

    def capped(self, event_bytes: int | None) -> Endpoint:
        """Return the same address for events of at most that many bytes; None leaves its own limit."""
        if event_bytes is None or event_bytes >= self.event_limit:
            return self
        trim_limits = tuple(limit for limit in self.trim_limits if limit < event_bytes)
        return Endpoint(self.path, event_bytes, trim_limits)


BATCH = Endpoint("/batch/", EVENT_LIMIT, _TRIM_LIMITS)
AI = Endpoint(
    "/i/v0/ai/batch/", (8 * 1024 - 64) * _KIB, (4096 * _KIB, 2048 * _KIB, EVENT_LIMIT, *_TRIM_LIMITS)
)


class Routes:
    """Where the events of one run go. An AI endpoint that turned out to be missing is not asked again.

    Args:
        choice: the setting. `batch` never uses the AI endpoint, `ai` insists on it, `auto` tries it.
        max_event_bytes: the most that one event may have, whatever an endpoint takes; None for no such limit.

    Attributes:
        batch: the address that takes any event.
    """

    def __init__(self, choice: Choice, max_event_bytes: int | None = None) -> None:
        self.batch = BATCH.capped(max_event_bytes)
        self._ai = AI.capped(max_event_bytes)
        self._choice = choice
        self._has_ai = choice != "batch"

    def choose(self, envelope: Envelope) -> Endpoint:
        """Return where the event goes."""
        return self._ai if self._has_ai and envelope.event.startswith("$ai_") else self.batch

    def give_up(self, endpoint: Endpoint, status: int) -> bool:
        """Return whether an answer with that status sends the endpoint's events to `/batch/` from now on."""
        if endpoint is not self._ai or self._choice != "auto" or status not in _ABSENT_STATUS:
            return False
        self._has_ai = False
        return True

    def lacks(self, endpoint: Endpoint) -> bool:
        """Return whether the server is known not to have the endpoint."""
        return endpoint is self._ai and not self._has_ai


def is_absent(path: str, status: int) -> bool:
    """Tell whether a status says that the server has no AI endpoint, which only some servers have."""
    return path == AI.path and status in _ABSENT_STATUS


def plain_http_warning(host: str) -> str | None:
    """Return one line for the user if events would go unencrypted to another machine, else None."""
    parts = urlsplit(host)
    if parts.scheme != "http" or _is_loopback(parts.hostname or ""):
        return None
    return (
        f"{shown_host(host)} is plain HTTP: your API key and everything that is sent can be read on the way. "
        "Use https."
    )


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_answer(response: requests.Response, answer: bytes, *, api_key: str) -> str | None:
    """Return None if the answer is PostHog's yes; what is wrong with it if it is nobody's.

    Both endpoints say yes with 200 and `{"status": "Ok"}`, older ones with `{"status": 1}` (PostHog's
    rust/capture/src/api.rs, CaptureResponse). A blocking proxy or a login portal answers 200 as well.

    Args:
        response: its status and headers. A status that is tried again, or 413, does not come here.
        answer: its body, as `read_answer` returns it.
        api_key: never repeated in a message, even if the server does.

    Returns:
        None, or words for a message: `answered 200, but not as PostHog does (it said: Blocked)`.

    Raises:
        RefusedError: PostHog refused the events.
        DeliveryError: it dropped them, for the project is over its quota.

    Example:
        >>> check_answer(response, b'{"status":"Ok"}', api_key="phc_...")
    """
    status = response.status_code
    host = shown_host(response.url)
    if 200 <= status < 300:
        limited = _find_quota_limits(answer)
        if limited:
            names = _fit_line(", ".join(limited), api_key)
            raise DeliveryError(
                f"PostHog dropped events because the project is over its quota ({names}): raise the billing "
                "limit and run the same command again; nothing delivered so far is lost."
            )
        if status == 200 and is_yes(answer):
            return None
        says = _describe_answer(answer, api_key)
        return f"answered {status}, but not as PostHog does{says}: check POSTHOG_HOST and any proxy"
    says = _quote_message(answer, api_key)
    if status in (401, 403):
        advice = (
            "check POSTHOG_API_KEY (the project API key, phc_…) and that POSTHOG_HOST is its region: "
            "a key of eu.i.posthog.com is not valid at us.i.posthog.com, nor the other way round"
        )
    elif status == 404:
        path = AI.path if "/i/v0/ai/" in response.url else BATCH.path
        advice = f"check POSTHOG_HOST, there is no PostHog {path} there"
        if path != BATCH.path:
            advice += ", or set POSTHOG_ENDPOINT to auto or batch"
    elif 300 <= status < 400:
        target = shown_redirect(response)
        advice = f"it redirects to {_fit_line(target, api_key)}, check POSTHOG_HOST"
        says = ""
    else:
        advice = "trying again would not help, check POSTHOG_HOST and the version of this program"
    raise RefusedError(f"{host} answered {status}: {advice}{says}.", status, says)


def is_yes(answer: bytes) -> bool:
    """Tell whether a body is PostHog's yes to a batch.

    Example:
        >>> is_yes(b'{"status": 1}'), is_yes(b'{"status": 0}')
        (True, False)
    """
    status = _decode_object(answer).get("status")
    return status == "Ok" or (status == 1 and not isinstance(status, bool))


def shown_redirect(response: requests.Response) -> str:
    """Return scheme, host and port of where an answer redirects to, whatever its header holds."""
    try:
        return shown_host(urljoin(response.url, response.headers.get("Location", "")))
    except ValueError:
        return "(unreadable address)"


def read_answer(response: requests.Response) -> bytes:
    """Return the body of an answer, at most 64 KiB. Once it is read, the connection can be used again."""
    answer = b""
    for chunk in response.iter_content(_ANSWER_BYTES):
        answer += chunk
        if len(answer) > _ANSWER_BYTES:
            break
    return answer[:_ANSWER_BYTES]


def _decode_object(answer: bytes) -> dict[str, object]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _find_quota_limits(answer: bytes) -> list[str]:
    """Return the resources that PostHog says it dropped: `{"status": 1, "quota_limited": ["events"]}`.

    Source: CaptureResponse in PostHog's rust/capture/src/api.rs.
    """
    limited = _decode_object(answer).get("quota_limited")
    return [str(name) for name in limited] if isinstance(limited, list) else []


def _quote_message(answer: bytes, api_key: str) -> str:
    """Return what the server said about a refusal as ` (it said: …)`, or nothing."""
    text = answer.decode("utf-8", "replace")
    fields = _decode_object(answer)
    for name in ("detail", "error", "message"):
        if isinstance(fields.get(name), str):
            text = str(fields[name])
            break
    line = _fit_line(text, api_key)
    return f" (it said: {line})" if line and not line.startswith("<") else ""


def _describe_answer(answer: bytes, api_key: str) -> str:
    """Return what an answer that is not PostHog's holds, as ` (it said: …)`."""
    if not answer.strip():
        return " (it said nothing)"
    if answer.lstrip()[:1] == b"<":
        return " (it sent a web page)"
    if b"\x00" in answer[:200] or b"\xff" in answer[:200]:
        return " (it sent something that is no text)"
    return _quote_message(answer, api_key) or " (it said something else)"


def _fit_line(text: str, api_key: str) -> str:
    """Return the text as one printable line of at most 200 characters; nothing if it holds the API key."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return "" if api_key and api_key in line else line[:200]


Suspect = tuple[Envelope, RefusedError]


class Suspects:
    """Events that were refused alone (400).

    Whether such an event is at fault, or the server takes nothing at all, shows when others are sent.
    """

    def __init__(self) -> None:
        self._works = False
        self._in_a_row = 0
        self._held: list[Suspect] = []

    def note_accepted(self) -> list[Suspect]:
        """Note that the server took something. Return the events that are now known to be at fault."""
        self._works, self._in_a_row = True, 0
        held, self._held = self._held, []
        return held

    def note_refused(self, envelope: Envelope, error: RefusedError) -> list[Suspect]:
        """Note an event that was refused alone. Return the events that are now known to be at fault.

        Raises:
            RefusedError: ten in a row were refused, so the events are not at fault.
        """
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise error
        if self._works:
            return [(envelope, error)]
        self._held.append((envelope, error))
        return []

    def check(self) -> None:
        """Raise the last refusal if the server took nothing so far."""
        if self._held:
            raise self._held[-1][1]
