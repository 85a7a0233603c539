"""What the user wants: flags, then environment, then pi's ``posthog.json``, then defaults, checked once.

The names are those of the official pi extension for PostHog, so that both can share one configuration. Model
prices come along: whoever gets the settings, on another machine too, prices calls in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from importer import settings_values
from importer.errors import BadValueError, UsageError
from importer.places import agent_dir, read_json_object
from importer.prices import NO_PRICES, ModelPrices, load_prices
from importer.quoting import printable, quoted
from parsers.times import DAY_MS

CONFIG_FILE_NAME = "posthog.json"
DEFAULT_HOST = "https://us.i.posthog.com"


@dataclass(frozen=True)
class Settings:
    """Checked settings. Those that nobody set hold their defaults.

    ::

        settings = load_settings({"privacy_mode": True})
        settings.host, settings.sources["privacy_mode"]  # "https://us.i.posthog.com", "flag"

    Attributes:
        api_key: the project API key (``phc_…``).
        host: PostHog's address, without a slash at its end.
        privacy_mode: send no prompts, answers or paths.
        redact_secrets: mask secrets inside of strings.
        enabled: False turns delivery off.
        trace_grouping: whether a trace is a run ("message") or a session window ("session").
        session_window_minutes: minutes between calls after which a new session window begins.
        project_name, agent_name: names for all sessions; None: they follow from each session.
        tags: further properties of all events.
        max_attribute_length: characters to keep of a tool's input or output, and of other serialized values.
        distinct_id: the person; None: each session's id.
        input_context: what an event holds of a model's input: all, what came since the prompt ("turn"), or
            since the last call ("new").
        content_days: how many days PostHog keeps prompts, answers and the like: older events go without them.
            None: for ever.
        endpoint: where AI events go (see :mod:`importer.deliver.endpoint`).
        parallel: most requests at once.
        max_events_per_minute: most events a minute; None: as many as the server takes.
        max_mb_per_minute: most millions of bytes of JSON a minute; None: as many as the server takes.
        max_event_bytes: most bytes of an event; None: as many as the endpoint takes.
        subscription_providers: further providers whose calls a plan covers.
        unpriced: what is sent for a call whose cost is not known: nothing, so that PostHog prices it by its
            model's name ("posthog"), or 0 ("zero").
        prices: what pi's ``models.json`` says of prices; not a setting of its own.
        sources: where each setting came from: "flag", "environment", "default", the path of a file, or, for
            tags, "environment and" that path.
        config_path: the config file that was looked for.
    """

    # Not in `repr`, so that no log or traceback gives it away.
    api_key: str | None = field(default=None, repr=False)
    host: str = DEFAULT_HOST
    privacy_mode: bool = False
    redact_secrets: bool = True
    enabled: bool = True
    trace_grouping: Literal["message", "session"] = "message"
    session_window_minutes: float = 60.0
    project_name: str | None = None
    agent_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    max_attribute_length: int = 12_000
    distinct_id: str | None = None
    input_context: Literal["full", "turn", "new"] = "full"
    content_days: float | None = 30.0
    endpoint: Literal["auto", "batch", "ai"] = "auto"
    parallel: int = 4
    max_events_per_minute: int | None = None
    max_mb_per_minute: int | None = None
    max_event_bytes: int | None = None
    subscription_providers: tuple[str, ...] = ()
    unpriced: Literal["posthog", "zero"] = "posthog"
    prices: ModelPrices = field(default=NO_PRICES, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    config_path: Path = field(default=Path("~/.pi/agent", CONFIG_FILE_NAME), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))

    def __reduce__(self) -> tuple[Callable[..., Settings], tuple[object, ...]]:
        # Workers get their settings pickled, which a mapping proxy cannot be.
        values = (getattr(self, each.name) for each in fields(self))
        return Settings, tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    @property
    def max_bytes_per_minute(self) -> int | None:
        """Bytes of JSON that may be sent in a minute; None for any number."""
        return None if self.max_mb_per_minute is None else self.max_mb_per_minute * 1_000_000

    def content_since_ms(self, now_ms: int) -> int | None:
        """Return when the oldest events end that go with content, in ms since the epoch; None: all do.

        Example:
            >>> Settings(content_days=1).content_since_ms(90_000_000)
            3600000
        """
        return None if self.content_days is None else now_ms - round(self.content_days * DAY_MS)

    def require_api_key(self) -> str:
        """Return the API key.

        Raises:
            UsageError: there is none. The text says where to put it and where PostHog shows it.
        """
        if self.api_key is None:
            raise UsageError(
                f'no API key: set POSTHOG_API_KEY, or "apiKey" in {printable(self.config_path)}, to the '
                "project API key (phc_…), which PostHog shows under Settings > Project > General"
            )
        return self.api_key


class _Setting(NamedTuple):
    """Where to find one setting, and how to check it."""

    variable: str
    key: str
    check: Callable[[object], Any]


_SETTINGS: dict[str, _Setting] = {
    "api_key": _Setting("POSTHOG_API_KEY", "apiKey", settings_values.api_key),
    "host": _Setting("POSTHOG_HOST", "host", settings_values.host),
    "privacy_mode": _Setting("POSTHOG_PRIVACY_MODE", "privacyMode", settings_values.boolean),
    "redact_secrets": _Setting("POSTHOG_REDACT_SECRETS", "redactSecrets", settings_values.boolean),
    "enabled": _Setting("POSTHOG_ENABLED", "enabled", settings_values.boolean),
    "trace_grouping": _Setting(
        "POSTHOG_TRACE_GROUPING", "traceGrouping", settings_values.choice("message", "session")
    ),
    "session_window_minutes": _Setting(
        "POSTHOG_SESSION_WINDOW_MINUTES",
        "sessionWindowMinutes",
        settings_values.number("session_window_minutes"),
    ),
    "project_name": _Setting("POSTHOG_PROJECT_NAME", "projectName", settings_values.name),
    "agent_name": _Setting("POSTHOG_AGENT_NAME", "agentName", settings_values.name),
    "tags": _Setting("POSTHOG_TAGS", "tags", settings_values.tags),
    "max_attribute_length": _Setting(
        "POSTHOG_MAX_ATTRIBUTE_LENGTH", "maxAttributeLength", settings_values.number("max_attribute_length")
    ),
    "distinct_id": _Setting("POSTHOG_DISTINCT_ID", "distinctId", settings_values.distinct_id),
    "input_context": _Setting(
        "POSTHOG_INPUT_CONTEXT", "inputContext", settings_values.choice("full", "turn", "new")
    ),
    "content_days": _Setting("POSTHOG_CONTENT_DAYS", "contentDays", settings_values.number("content_days")),
    "endpoint": _Setting("POSTHOG_ENDPOINT", "endpoint", settings_values.choice("auto", "batch", "ai")),
    "parallel": _Setting("POSTHOG_PARALLEL", "parallel", settings_values.number("parallel")),
    "max_events_per_minute": _Setting(
        "POSTHOG_MAX_EVENTS_PER_MINUTE", "maxEventsPerMinute", settings_values.number("max_events_per_minute")
    ),
    "max_mb_per_minute": _Setting(
        "POSTHOG_MAX_MB_PER_MINUTE", "maxMbPerMinute", settings_values.number("max_mb_per_minute")
    ),
    "max_event_bytes": _Setting(
        "POSTHOG_MAX_EVENT_BYTES",
        "maxEventBytes",
        settings_values.number("max_event_bytes"),
    ),
    "subscription_providers": _Setting(
        "POSTHOG_SUBSCRIPTION_PROVIDERS", "subscriptionProviders", settings_values.names
    ),
    "unpriced": _Setting("POSTHOG_UNPRICED", "unpriced", settings_values.choice("posthog", "zero")),
}


def load_settings(
    flags: Mapping[str, object] = MappingProxyType({}),
    *,
    environ: Mapping[str, str] = os.environ,
    config_path: Path | None = None,
) -> Settings:
    """Return the settings, each from the first place that has it: a flag, the environment, the config file.

    Tags of the file and the environment are merged; where both name a key, the environment wins.

    Args:
        flags: values by the name of the `Settings` field. None, or an empty list of a flag that can be
            repeated, means that the flag was not given.
        environ: the environment. A variable that is set to nothing counts as not set.
        config_path: the config file instead of ``<agent dir>/posthog.json``. It need not exist. A null in it
            counts as not set, and keys that are not ours are ignored.

    Raises:
        UsageError: a value is not allowed, or the config file cannot be read. The text names the flag,
            variable or key, the value (never that of the API key) and what is allowed.
        TypeError: no setting has that flag.
    """
    unknown = flags.keys() - _SETTINGS.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    if config_path is None:
        config_path = agent_dir(environ) / CONFIG_FILE_NAME
    config = read_json_object(config_path) or {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, setting in _SETTINGS.items():
        raw: object
        if (raw := flags.get(name)) not in (None, [], ()):
            sources[name], shown_name = "flag", f"--{name.replace('_', '-')}"
        elif raw := environ.get(setting.variable):
            sources[name], shown_name = "environment", setting.variable
        elif (raw := config.get(setting.key)) is not None:
            sources[name], shown_name = str(config_path), f"{setting.key} in {printable(config_path)}"
        else:
            sources[name] = "default"
            continue
        values[name] = _check(name, setting, raw, shown_name)
    in_file = config.get(_SETTINGS["tags"].key)
    if sources["tags"] == "environment" and in_file is not None:
        shown_name = f"tags in {printable(config_path)}"
        values["tags"] = _check("tags", _SETTINGS["tags"], in_file, shown_name) | values["tags"]
        sources["tags"] = f"environment and {config_path}"
    return Settings(**values, prices=load_prices(environ), sources=sources, config_path=config_path)


def check_number(name: str, raw: object, shown_name: str) -> float:
    """Return the number of an option that is no setting, such as ``--settle``, within its range.

    ::

        check_number("settle", "20", "--settle")  # 20.0

    Args:
        name: a key of `settings_values.RANGES`.
        raw: the number, or text.
        shown_name: what the user calls it.

    Raises:
        UsageError: it is not within its range. The text names the option, the value and the range.
        TypeError: the name is that of a setting which takes the word ``all``, and that is the value.
    """
    try:
        value = settings_values.number(name)(raw)
    except BadValueError as error:
        raise UsageError(f"{shown_name} is {quoted(raw)}: {error}") from None
    if value is None:
        raise TypeError(f"{name} is a setting, which may be all: use load_settings")
    return value


def _check(name: str, setting: _Setting, raw: object, shown_name: str) -> Any:
    try:
        return setting.check(raw)
    except BadValueError as error:
        allowed = printable(error)
    if name == "api_key":
        raise UsageError(f"{shown_name} is not usable: {allowed}")
    if name == "host" and isinstance(raw, str) and "@" in raw:
        # A password in a URL is as secret as a key.
        raw = f"***@{raw.rpartition('@')[2]}"
    raise UsageError(f"{shown_name} is {quoted(raw)}: {allowed}")
