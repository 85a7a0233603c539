"""The checks of `pi2posthog doctor` that ask PostHog: is it there, does it know the key, what time is it.

No check sends an event. An empty batch is refused before the key is looked at ("request holds no event",
PostHog's rust/capture/src/v0_request.rs), and of the key /batch/ checks the form (validate_token), on some
servers whether a project has it (known_tokens.rs). The configuration of the web SDK tells more: it is a 404
for a key that belongs to no project (posthog/api/remote_config.py).
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec
import requests

from importer import __version__
from importer.build.event import Event
from importer.commands.checks import Check, mask_key
from importer.deliver.delivery import Delivery
from importer.deliver.endpoint import is_yes, plain_http_warning, read_answer, shown_redirect
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from importer.exchange import TimedSession
from importer.quoting import shown_host
from importer.screen.amounts import format_duration
from importer.sessions.exports import LIBRARY
from importer.settings import Settings
from parsers.times import to_rfc3339

TEST_EVENT = "pi2posthog doctor"
MAX_SKEW_S = 60
TIMEOUT_S = (5.0, 10.0)  # connect, read
_CLOUD = re.compile(r"(us|eu)(-assets)?\.i\.posthog\.com|(app|us|eu)\.posthog\.com")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")  # what remote_config.py takes
_SECTION = "posthog"
_NOT_SHOWN = (
    "no answer tells. If events are missing, look at PostHog's billing page (quota) and at the project's "
    'settings ("drop events older than"); beyond ai_byte_limit_per_second, AI events are dropped, too: '
    "--max-mb-per-minute slows a backfill down"
)
_REGION = "check POSTHOG_API_KEY (the project API key), and that POSTHOG_HOST is its region"


def check_server(settings: Settings, *, clock: Callable[[], float] = time.time) -> Iterator[Check]:
    """Check the server and the key. Sends no event.

    Args:
        settings: the host, and the key if there is one.
        clock: gives seconds since the epoch.
    """
    if warning := plain_http_warning(settings.host):
        found, _, advice = warning.rpartition(". ")
        yield Check(_SECTION, "encryption", "warning", found, advice)
    with TimedSession() as session:
        body = json.dumps({"api_key": settings.api_key or "", "batch": []}).encode()
        began_s = clock()
        try:
            with (
                session.end_within(sum(TIMEOUT_S)),
                session.post(
                    f"{settings.host}/batch/",
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                ended_s = clock()
                answer = read_answer(response)
        except (requests.RequestException, ValueError, OSError) as error:
            found, advice = _explain(error, shown_host(settings.host))
            yield Check(_SECTION, "reachable", "problem", found, advice, {"reachable": False})
            return
        there = _check_answer(settings, response, answer, ended_s - began_s)
        yield there
        yield _check_clock(response.headers.get("Date"), (began_s + ended_s) / 2)
        if there.state != "problem" and settings.api_key:
            yield _check_key(session, settings, settings.api_key)
            yield Check(_SECTION, "stored", "ok", _NOT_SHOWN)


def send_test_event(settings: Settings, *, clock: Callable[[], float] = time.time) -> Check:
    """Send one event that belongs to no person and no session, over the same way as all others."""
    if not settings.enabled:
        return Check(_SECTION, "test event", "warning", "not sent: switched off", "set POSTHOG_ENABLED=true")
    if settings.api_key is None:
        return Check(_SECTION, "test event", "problem", "not sent: there is no API key", "see above")
    event = _make_test_event(settings, round(clock() * 1000))
    try:
        with Delivery(
            host=settings.host, api_key=settings.api_key, retry=RetryPolicy(attempts=2)
        ) as delivery:
            delivery.add(event)
    except DeliveryError as error:
        advice = "see the checks of the host and the key above"
        return Check(_SECTION, "test event", "problem", f"not taken: {error}", advice)
    found = (
        f'taken: look for "{TEST_EVENT}" ({event.uuid}) in PostHog\'s Activity in a minute. If it does not '
        "appear, no project has this key: many servers say yes all the same"
    )
    return Check(_SECTION, "test event", "ok", found, data={"uuid": event.uuid})


def _make_test_event(settings: Settings, now_ms: int) -> Event:
    """Make an event that creates no person and belongs to no trace."""
    identity = str(uuid.uuid4())
    properties = {
        **settings.tags,
        "$lib": LIBRARY,
        "$lib_version": __version__,
        "$process_person_profile": False,
        "$geoip_disable": True,
        "$ignore_sent_at": True,
    }
    envelope = {
        "event": TEST_EVENT,
        "distinct_id": settings.distinct_id or "pi2posthog",
        "uuid": identity,
        "timestamp": to_rfc3339(now_ms),
        "properties": properties,
    }
    return Event(TEST_EVENT, identity, now_ms, "", msgspec.json.encode(envelope))


def _check_answer(settings: Settings, response: requests.Response, answer: bytes, seconds: float) -> Check:
    """Tell from the answer to an empty batch whether this is PostHog, and whether it refuses the key."""
    host, status = shown_host(settings.host), response.status_code
    data = {"reachable": True, "status": status, "seconds": round(seconds, 3)}
    is_page = answer.lstrip()[:1] == b"<"
    if status in (401, 403):
        found = f"{host} refuses the key ({status})" if settings.api_key else f"{host} wants a key ({status})"
        return Check(_SECTION, "reachable", "problem", found, _REGION, data)
    if status == 404 or (status == 400 and is_page) or (status == 200 and not is_yes(answer)):
        found = f"{host} answers, but has no PostHog /batch/ ({status})"
        return Check(_SECTION, "reachable", "problem", found, "check POSTHOG_HOST", data)
    if 300 <= status < 400:
        target = shown_redirect(response)
        advice = "set POSTHOG_HOST to where it leads, if that is your PostHog"
        return Check(_SECTION, "reachable", "problem", f"{host} redirects to {target}", advice, data)
    if status in (200, 400):
        return Check(_SECTION, "reachable", "ok", f"{host} answers in {seconds * 1000:.0f} ms", data=data)
    advice = "try again later; pi2posthog does so by itself"
    return Check(_SECTION, "reachable", "warning", f"{host} answers {status}", advice, data)


def _check_key(session: TimedSession, settings: Settings, key: str) -> Check:
    """Check whether the server has a configuration for the key's project."""
    name, host = "project", shown_host(settings.host)
    unsure = "run with --send and look for the event in PostHog's Activity"
    if not _KEY.fullmatch(key):
        found = f"{mask_key(key)} has characters that no project API key has"
        return Check(_SECTION, name, "warning", found, _REGION, {"accepted": None})
    try:
        with (
            session.end_within(sum(TIMEOUT_S)),
            session.get(
                f"{settings.host}/array/{key}/config", timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as response,
        ):
            status, answer = response.status_code, read_answer(response)
    except (requests.RequestException, ValueError, OSError):
        status, answer = 0, b""
    if status == 200 and _is_config(answer, key):
        return Check(_SECTION, name, "ok", f"{host} knows {mask_key(key)}", data={"accepted": True})
    if status == 404 and _CLOUD.fullmatch(urlsplit(settings.host).hostname or ""):
        found = f"no project at {host} has {mask_key(key)}"
        return Check(_SECTION, name, "problem", found, _REGION, {"accepted": False})
    if status == 404:
        found = f"{host} does not know {mask_key(key)}, or is too old to tell"
        return Check(_SECTION, name, "warning", found, f"{_REGION}; or {unsure}", {"accepted": None})
    return Check(_SECTION, name, "warning", f"{host} does not tell about the key", unsure, {"accepted": None})


def _is_config(answer: bytes, key: str) -> bool:
    """Tell whether an answer is the project's configuration: a JSON object that names no other key."""
    try:
        config = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("token", key) == key and bool(config)


def _check_clock(date: str | None, now_s: float) -> Check:
    """Compare this computer's clock with the server's ``Date``."""
    try:
        server_s = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return Check(_SECTION, "clock", "ok", "the server does not say what time it is")
    skew_s = now_s - server_s
    data = {"skew_s": round(skew_s)}
    if abs(skew_s) <= MAX_SKEW_S:
        return Check(_SECTION, "clock", "ok", "agrees with the server's", data=data)
    found = f"this computer is {format_duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
    advice = "set the clock (NTP): pi writes its times, so calls show up in PostHog that much off"
    return Check(_SECTION, "clock", "warning", found, advice, data)


def _explain(error: Exception, host: str) -> tuple[str, str]:
    """Explain a request without an answer, and what to do; the error's own text may hold the key."""
    says = str(error)
    network = "check the network and POSTHOG_HOST; the rest was checked without it"
    if not isinstance(error, requests.RequestException) and isinstance(error, OSError):
        what, advice = "the CA file cannot be read", "check REQUESTS_CA_BUNDLE and SSL_CERT_FILE"
    elif "CERTIFICATE_VERIFY_FAILED" in says:
        what = "its TLS certificate cannot be verified"
        advice = "check POSTHOG_HOST, this computer's clock and REQUESTS_CA_BUNDLE"
    elif isinstance(error, requests.exceptions.SSLError):
        what, advice = "TLS error", "check whether POSTHOG_HOST should begin with http:// or https://"
    elif isinstance(error, requests.exceptions.ProxyError):
        what, advice = "the proxy does not answer", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    elif isinstance(error, requests.Timeout):
        what, advice = f"no answer within {TIMEOUT_S[1]:.0f} s", network
    elif "NameResolutionError" in says or "getaddrinfo" in says or "Name or service" in says:
        what, advice = "its name is not known", network
    elif "refused" in says:
        what, advice = "connection refused", network
    else:
        what, advice = "no answer", network
    return f"{host} cannot be reached: {what}", advice
