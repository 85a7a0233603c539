"""Where settings come from, and what is said about a bad one."""

import json
import pickle
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.settings import Settings, load_settings


@pytest.fixture
def config(tmp_path):
    """Write the config file and return its path."""
    path = tmp_path / "posthog.json"

    def write(content) -> Path:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def nowhere(tmp_path):
    return tmp_path / "missing.json"


def message(flags=None, environ=None, config_path=None) -> str:
    """Return the one line that loading fails with."""
    with pytest.raises(UsageError) as caught:
        load_settings(
            flags or {}, environ={"HOME": "/nonexistent"} | (environ or {}), config_path=config_path
        )
    text = str(caught.value)
    assert text.isprintable()
    return text


def test_nothing_set_gives_the_documented_defaults(nowhere):
    settings = load_settings(environ={}, config_path=nowhere)

    assert settings.api_key is None
    assert settings.host == "https://us.i.posthog.com"
    assert settings.privacy_mode is False
    assert settings.redact_secrets is True
    assert settings.enabled is True
    assert settings.trace_grouping == "message"
    assert settings.session_window_minutes == 60
    assert settings.project_name is None
    assert settings.agent_name is None
    assert settings.tags == {}
    assert settings.max_attribute_length == 12_000
    assert settings.distinct_id is None
    assert settings.input_context == "full"
    assert settings.content_days == 30
    assert set(settings.sources.values()) == {"default"}


def test_every_variable_is_read(nowhere):
    settings = load_settings(
        environ={
            "POSTHOG_API_KEY": "phc_env",
            "POSTHOG_HOST": "http://127.0.0.1:8000/",
            "POSTHOG_PRIVACY_MODE": "TRUE",
            "POSTHOG_REDACT_SECRETS": "no",
            "POSTHOG_ENABLED": "off",
            "POSTHOG_TRACE_GROUPING": "session",
            "POSTHOG_SESSION_WINDOW_MINUTES": "0.5",
            "POSTHOG_PROJECT_NAME": "shop",
            "POSTHOG_AGENT_NAME": "builder",
            "POSTHOG_TAGS": "team:core, url:http://x:1",
            "POSTHOG_MAX_ATTRIBUTE_LENGTH": "100",
            "POSTHOG_DISTINCT_ID": "ada@example.com",
            "POSTHOG_INPUT_CONTEXT": "new",
            "POSTHOG_CONTENT_DAYS": "All",
            "POSTHOG_ENDPOINT": "AI",
            "POSTHOG_PARALLEL": "8",
            "POSTHOG_MAX_EVENTS_PER_MINUTE": "9000",
            "POSTHOG_MAX_MB_PER_MINUTE": "60",
            "POSTHOG_MAX_EVENT_BYTES": "900000",
            "POSTHOG_SUBSCRIPTION_PROVIDERS": "our-plan, anthropic,our-plan",
            "POSTHOG_UNPRICED": "Zero",
        },
        config_path=nowhere,
    )

    assert settings == Settings(
        api_key="phc_env",
        host="http://127.0.0.1:8000",
        privacy_mode=True,
        redact_secrets=False,
        enabled=False,
        trace_grouping="session",
        session_window_minutes=0.5,
        project_name="shop",
        agent_name="builder",
        tags={"team": "core", "url": "http://x:1"},
        max_attribute_length=100,
        distinct_id="ada@example.com",
        input_context="new",
        content_days=None,
        endpoint="ai",
        parallel=8,
        max_events_per_minute=9000,
        max_mb_per_minute=60,
        max_event_bytes=900_000,
        subscription_providers=("anthropic", "our-plan"),
        unpriced="zero",
        prices=settings.prices,
        sources=settings.sources,
        config_path=nowhere,
    )
    assert set(settings.sources.values()) == {"environment"}


def test_every_key_of_the_config_file_is_read(config):
    path = config(
        {
            "apiKey": "phc_file",
            "host": "https://eu.i.posthog.com",
            "privacyMode": True,
            "redactSecrets": False,
            "enabled": "no",
            "traceGrouping": "session",
            "sessionWindowMinutes": 15,
            "projectName": "shop",
            "agentName": "builder",
            "tags": {"team": "core"},
            "maxAttributeLength": 200,
            "distinctId": "ada",
            "inputContext": "turn",
            "contentDays": 7.5,
            "endpoint": "batch",
            "parallel": 1,
            "maxEventsPerMinute": 600,
            "maxMbPerMinute": 1,
            "maxEventBytes": 16384,
            "subscriptionProviders": ["our-plan"],
            "unpriced": "posthog",
            "aKeyOfALaterExtension": [1],
        }
    )

    settings = load_settings(environ={}, config_path=path)

    assert settings.api_key == "phc_file"
    assert settings.host == "https://eu.i.posthog.com"
    assert (settings.privacy_mode, settings.redact_secrets, settings.enabled) == (True, False, False)
    assert (settings.trace_grouping, settings.session_window_minutes) == ("session", 15)
    assert (settings.project_name, settings.agent_name) == ("shop", "builder")
    assert settings.tags == {"team": "core"}
    assert (settings.max_attribute_length, settings.distinct_id) == (200, "ada")
    assert settings.input_context == "turn"
    assert (settings.endpoint, settings.parallel, settings.max_events_per_minute) == ("batch", 1, 600)
    assert (settings.max_mb_per_minute, settings.max_event_bytes) == (1, 16_384)
    assert settings.max_bytes_per_minute == 1_000_000
    assert (settings.subscription_providers, settings.unpriced) == (("our-plan",), "posthog")
    assert set(settings.sources.values()) == {str(path)}


def test_a_flag_beats_the_environment_which_beats_the_file(config):
    path = config({"traceGrouping": "session", "projectName": "file", "agentName": "file"})

    settings = load_settings(
        {"project_name": "flag", "agent_name": None, "tags": []},
        environ={"POSTHOG_PROJECT_NAME": "environment", "POSTHOG_AGENT_NAME": "environment"},
        config_path=path,
    )

    assert settings.project_name == "flag"
    assert settings.agent_name == "environment"
    assert settings.trace_grouping == "session"
    assert settings.sources["project_name"] == "flag"
    assert settings.sources["agent_name"] == "environment"
    assert settings.sources["trace_grouping"] == str(path)
    assert settings.sources["tags"] == "default"


def test_a_false_flag_is_given(nowhere):
    assert load_settings({"enabled": False}, environ={}, config_path=nowhere).enabled is False


def test_the_config_file_lies_in_the_agent_folder(tmp_path):
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "posthog.json").write_text('{"projectName": "shop"}')
    environ = {"HOME": str(tmp_path), "PI_CODING_AGENT_DIR": "~/agent"}

    settings = load_settings(environ=environ)

    assert settings.project_name == "shop"
    assert settings.config_path == tmp_path / "agent" / "posthog.json"


def test_an_empty_variable_and_a_null_key_count_as_not_set(config):
    path = config({"host": None, "enabled": False})

    settings = load_settings(environ={"POSTHOG_ENABLED": "", "POSTHOG_HOST": ""}, config_path=path)

    assert settings.enabled is False
    assert settings.host == "https://us.i.posthog.com"


def test_a_byte_order_mark_is_no_obstacle(config):
    assert load_settings(environ={}, config_path=config('\ufeff{"enabled": false}')).enabled is False


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("POSTHOG_HOST", "us.i.posthog.com", "http or https URL"),
        ("POSTHOG_HOST", "ftp://x", "http or https URL"),
        ("POSTHOG_HOST", "https://", "http or https URL"),
        ("POSTHOG_HOST", "https://x?y=1", "http or https URL"),
        ("POSTHOG_HOST", "https://x/#y", "http or https URL"),
        ("POSTHOG_HOST", "https://x:99999", "http or https URL"),
        ("POSTHOG_HOST", "https://x y", "http or https URL"),
        ("POSTHOG_HOST", "https://[::1", "http or https URL"),
        ("POSTHOG_PRIVACY_MODE", "maybe", "true or false"),
        ("POSTHOG_ENABLED", "2", "true or false"),
        ("POSTHOG_TRACE_GROUPING", "trace", "message or session"),
        ("POSTHOG_INPUT_CONTEXT", "all", "full, turn or new"),
        ("POSTHOG_CONTENT_DAYS", "-1", "days from 0 to 36500, or all"),
        ("POSTHOG_CONTENT_DAYS", "nan", "days from 0 to 36500, or all"),
        ("POSTHOG_CONTENT_DAYS", "36501", "days from 0 to 36500, or all"),
        ("POSTHOG_CONTENT_DAYS", "a month", "days from 0 to 36500, or all"),
        ("POSTHOG_SESSION_WINDOW_MINUTES", "0", "minutes from 0.001 to 52560000"),
        ("POSTHOG_SESSION_WINDOW_MINUTES", "-1", "minutes from 0.001 to 52560000"),
        ("POSTHOG_SESSION_WINDOW_MINUTES", "nan", "minutes from 0.001 to 52560000"),
        ("POSTHOG_SESSION_WINDOW_MINUTES", "9" * 400, "minutes from 0.001 to 52560000"),
        ("POSTHOG_SESSION_WINDOW_MINUTES", "an hour", "minutes from 0.001 to 52560000"),
        ("POSTHOG_UNPRICED", "free", "posthog or zero"),
        ("POSTHOG_SUBSCRIPTION_PROVIDERS", "a,,b", "a text without control characters"),
        ("POSTHOG_MAX_ATTRIBUTE_LENGTH", "0", "whole number"),
        ("POSTHOG_MAX_ATTRIBUTE_LENGTH", "1.5", "whole number"),
        ("POSTHOG_MAX_ATTRIBUTE_LENGTH", "1_000", "whole number"),
        ("POSTHOG_MAX_ATTRIBUTE_LENGTH", "٣", "whole number"),
        ("POSTHOG_MAX_ATTRIBUTE_LENGTH", "9" * 5000, "whole number"),
        ("POSTHOG_TAGS", "team", "key1:val1"),
        ("POSTHOG_TAGS", ":core", "key1:val1"),
        ("POSTHOG_TAGS", "$lib:x", "key1:val1"),
        ("POSTHOG_TAGS", "a:1,a:2", "once"),
        ("POSTHOG_TAGS", "a:\x1b[2J", "key1:val1"),
        ("POSTHOG_DISTINCT_ID", "x" * 201, "200"),
        ("POSTHOG_DISTINCT_ID", "a\nb", "200"),
        ("POSTHOG_PROJECT_NAME", "  ", "text"),
    ],
)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(variable, value, allowed, nowhere):
    text = message(environ={variable: value}, config_path=nowhere)

    assert text.startswith(f"{variable} is '")
    assert repr(value)[:10] in text
    assert allowed in text
    assert len(text) < 250


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("enabled", 1),
        ("host", 5),
        ("sessionWindowMinutes", True),
        ("sessionWindowMinutes", 10**400),
        ("maxAttributeLength", 12.5),
        ("maxAttributeLength", True),
        ("tags", {"a": 1}),
        ("tags", 7),
        ("tags", {" ": "x"}),
        ("traceGrouping", []),
        ("projectName", ""),
        ("distinctId", 12),
        ("subscriptionProviders", [7]),
        ("subscriptionProviders", True),
        ("unpriced", 0),
    ],
)
def test_a_bad_key_is_named_with_its_file(key, value, config):
    path = config({key: value})

    assert message(config_path=path).startswith(f"{key} in {path} is {repr(value)[:20]}")


def test_a_bad_flag_is_named(nowhere):
    text = message(flags={"trace_grouping": "x"}, config_path=nowhere)

    assert text == "--trace-grouping is 'x': use message or session"


def test_a_flag_that_does_not_exist_is_the_callers_mistake(nowhere):
    with pytest.raises(TypeError, match="grouping"):
        load_settings({"grouping": "x"}, environ={}, config_path=nowhere)


@pytest.mark.parametrize("key", ["phx_secret123", "phc_sec ret123", "phc_secret123\n", "phc_sécret123"])
def test_a_bad_api_key_is_not_shown(key, config, nowhere):
    for text in (
        message(environ={"POSTHOG_API_KEY": key}, config_path=nowhere),
        message(flags={"api_key": key}, config_path=nowhere),
        message(config_path=config({"apiKey": key})),
    ):
        assert "cret123" not in text
        assert "phc_…" in text


def test_an_api_key_that_is_no_text_is_refused_without_showing_it(config):
    assert "12345" not in message(config_path=config({"apiKey": 12345}))


def test_a_personal_api_key_is_called_so(nowhere):
    text = message(environ={"POSTHOG_API_KEY": "phx_abc"}, config_path=nowhere)

    assert "personal API key" in text
    assert "project API key" in text


@pytest.mark.parametrize("host", ["https://ada:s3cret@x", "https://ada:s3/cret@x"])
def test_a_password_in_the_host_is_refused_without_showing_it(host, nowhere):
    text = message(environ={"POSTHOG_HOST": host}, config_path=nowhere)

    assert "cret" not in text
    assert "s3" not in text
    assert "without user" in text


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://app.posthog.com", "https://app.posthog.com"),
        ("https://example.com/posthog/", "https://example.com/posthog"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_host_may_be_the_ui_or_lie_behind_a_path(given, used, nowhere):
    assert load_settings(environ={"POSTHOG_HOST": given}, config_path=nowhere).host == used


@pytest.mark.parametrize("word", ["true", "True", "1", "YES", "on"])
def test_yes_has_many_names(word, nowhere):
    assert load_settings(environ={"POSTHOG_PRIVACY_MODE": word}, config_path=nowhere).privacy_mode is True


@pytest.mark.parametrize("raw", ["a:1,b:x:y", ["a:1", "b:x:y"], {"a": "1", "b": "x:y"}])
def test_tags_are_a_text_a_list_or_an_object(raw, config, nowhere):
    assert load_settings(environ={}, config_path=config({"tags": raw})).tags == {"a": "1", "b": "x:y"}
    assert load_settings({"tags": raw}, environ={}, config_path=nowhere).tags == {"a": "1", "b": "x:y"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"x"', "null", "[" * 100_000, '{"apiKey": "phc_secret" oops']
)
def test_a_broken_config_file_is_named_in_one_line(content, config):
    path = config(content)

    text = message(config_path=path)

    assert str(path) in text
    assert "phc_secret" not in text


def test_invalid_utf8_in_the_config_file_is_one_line(tmp_path):
    path = tmp_path / "posthog.json"
    path.write_bytes(b'{"projectName": "\xff"}')

    assert str(path) in message(config_path=path)


def test_an_unreadable_config_file_is_one_line(tmp_path):
    (tmp_path / "posthog.json").mkdir()

    assert "cannot read" in message(config_path=tmp_path / "posthog.json")


def test_control_characters_of_a_path_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[2J\nb.json"
    path.write_text("{")

    assert "\\x1b[2J\\nb.json" in message(config_path=path)


def test_the_key_is_not_in_the_repr():
    assert "phc_secret" not in repr(Settings(api_key="phc_secret"))


def test_requiring_a_missing_key_says_where_to_put_it_and_where_to_find_it(nowhere):
    with pytest.raises(UsageError) as caught:
        load_settings(environ={}, config_path=nowhere).require_api_key()

    text = str(caught.value)
    assert "\n" not in text
    assert "POSTHOG_API_KEY" in text
    assert f'"apiKey" in {nowhere}' in text
    assert "Settings > Project" in text


def test_requiring_a_key_that_is_there_returns_it():
    assert Settings(api_key="phc_x").require_api_key() == "phc_x"


def test_settings_cannot_be_changed():
    settings = Settings(tags={"a": "1"})

    with pytest.raises(AttributeError):
        settings.host = "https://elsewhere"
    with pytest.raises(TypeError):
        settings.tags["b"] = "2"


def test_settings_travel_to_a_worker_process():
    settings = Settings(api_key="phc_x", tags={"a": "1"}, sources={"tags": "flag"})

    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    "value",
    ["anonymous", "GUEST", "[object Object]", "NaN", "0", "null", "Undefined", " Email ", "'none'", '""'],
)
def test_an_id_that_posthog_takes_for_a_placeholder_is_refused_and_named(value, config, nowhere):
    texts = [message(config_path=config({"distinctId": value}))]
    texts.append(message(environ={"POSTHOG_DISTINCT_ID": value}, config_path=nowhere))
    texts.append(message(flags={"distinct_id": value}, config_path=nowhere))
    assert [text.partition(" ")[0] for text in texts] == [
        "distinctId",
        "POSTHOG_DISTINCT_ID",
        "--distinct-id",
    ]
    for text in texts:
        assert value.strip("\"'") in text
        assert "placeholder" in text


@pytest.mark.parametrize("value", ["   ", "x" * 201])
def test_a_blank_or_very_long_id_is_refused(value, nowhere):
    assert "1 to 200 characters" in message(environ={"POSTHOG_DISTINCT_ID": value}, config_path=nowhere)


def test_an_id_that_only_contains_a_placeholder_is_taken(nowhere):
    for value in ("guest-7", "id0", "anonymous@example.com", "x" * 200):
        assert load_settings({"distinct_id": value}, environ={}, config_path=nowhere).distinct_id == value


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("POSTHOG_MAX_MB_PER_MINUTE", "0", "1 to 1000000"),
        ("POSTHOG_MAX_MB_PER_MINUTE", "1.5", "1 to 1000000"),
        ("POSTHOG_MAX_EVENT_BYTES", "16383", "16384 to 8388608"),
        ("POSTHOG_MAX_EVENT_BYTES", "8388609", "16384 to 8388608"),
        ("POSTHOG_MAX_EVENT_BYTES", "all", "16384 to 8388608"),
    ],
)
def test_a_limit_out_of_its_range_is_named_with_the_range(variable, value, allowed, nowhere):
    text = message(environ={variable: value}, config_path=nowhere)
    assert text.startswith(f"{variable} is '{value}'")
    assert allowed in text


def test_tags_of_file_and_environment_are_merged_and_the_environment_wins(config):
    path = config({"tags": {"team": "file", "site": "berlin"}})
    settings = load_settings(environ={"POSTHOG_TAGS": "team:core,env:dev"}, config_path=path)
    assert settings.tags == {"site": "berlin", "team": "core", "env": "dev"}
    assert settings.sources["tags"] == f"environment and {path}"


def test_bad_tags_of_the_file_are_named_although_the_environment_has_some(config):
    path = config({"tags": 7})
    text = message(environ={"POSTHOG_TAGS": "env:dev"}, config_path=path)
    assert text.startswith(f"tags in {path} is 7")
