"""What an answer of PostHog means: a yes, or one line for the user that says what to check."""

from __future__ import annotations

import json
from urllib.parse import urljoin

import requests

from importer.errors import DeliveryError, RefusedError
from importer.quoting import shown_host

_ANSWER_BYTES = 64 * 1024


def check_answer(response: requests.Response, answer: bytes, *, api_key: str) -> None:
    """Return when the answer is PostHog's yes.

    Args:
        response: its status and headers; a status that is tried again, or 413, does not come here.
        answer: its body, as `read_answer` gives it.
        api_key: never repeated, even if the server does.

    Raises:
        RefusedError: PostHog refused the events.
        DeliveryError: it dropped them, or it is not PostHog that answers.
    """
    status = response.status_code
    host = shown_host(response.url)
    if status == 200:
        limited = _quota_limited(answer)
        if limited:
            names = _one_line(", ".join(limited), api_key)
            raise DeliveryError(
                f"PostHog dropped events because the project is over its quota ({names}): raise the billing "
                "limit and run the same command again; nothing delivered so far is lost."
            )
        # A web page with status 200 is a login portal or another site, not PostHog's yes.
        if answer.lstrip()[:1] == b"<":
            raise DeliveryError(f"{host} answered with a web page: check POSTHOG_HOST.")
        return
    says = _server_message(answer, api_key)
    if status in (401, 403):
        advice = (
            "check POSTHOG_API_KEY (the project API key, phc_…) and that POSTHOG_HOST is its region: "
            "a key of eu.i.posthog.com is not valid at us.i.posthog.com, nor the other way round"
        )
    elif status == 404:
        path = "/i/v0/ai/batch/" if "/i/v0/ai/" in response.url else "/batch/"
        advice = f"check POSTHOG_HOST, there is no PostHog {path} there"
        if path != "/batch/":
            advice += ", or set POSTHOG_ENDPOINT to auto or batch"
    elif 300 <= status < 400:
        target = urljoin(response.url, response.headers.get("Location", ""))
        advice = f"it redirects to {_one_line(shown_host(target), api_key)}, check POSTHOG_HOST"
        says = ""
    else:
        advice = "trying again would not help, check POSTHOG_HOST and the version of this program"
    raise RefusedError(f"{host} answered {status}: {advice}{says}.", status, says)


def read_answer(response: requests.Response) -> bytes:
    """The body of an answer, at most 64 KiB of it; read to its end, the connection can be used again."""
    answer = b""
    for chunk in response.iter_content(_ANSWER_BYTES):
        answer += chunk
        if len(answer) > _ANSWER_BYTES:
            break
    return answer[:_ANSWER_BYTES]


def _json_object(answer: bytes) -> dict[str, object]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _quota_limited(answer: bytes) -> list[str]:
    """The resources that PostHog says it dropped: `{"status": 1, "quota_limited": ["events"]}`.

    Source: CaptureResponse in PostHog's rust/capture/src/api.rs.
    """
    limited = _json_object(answer).get("quota_limited")
    return [str(name) for name in limited] if isinstance(limited, list) else []


def _server_message(answer: bytes, api_key: str) -> str:
    """What the server said about a refusal as ` (it said: ...)`, or nothing."""
    text = answer.decode("utf-8", "replace")
    fields = _json_object(answer)
    for name in ("detail", "error", "message"):
        if isinstance(fields.get(name), str):
            text = str(fields[name])
            break
    line = _one_line(text, api_key)
    return f" (it said: {line})" if line and not line.startswith("<") else ""


def _one_line(text: str, api_key: str) -> str:
    """The text as one printable line of at most 200 characters; nothing when it holds the API key."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return "" if api_key and api_key in line else line[:200]
