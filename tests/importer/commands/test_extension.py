"""PostHog's own pi extensions are found where pi loads them from, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

from importer.commands.extension import describe_extension, find_extension, refuse_extension


@pytest.fixture
def agent(tmp_path):
    """pi's agent folder."""
    folder = tmp_path / ".pi" / "agent"
    (folder / "extensions").mkdir(parents=True)
    return folder


@pytest.fixture
def found(tmp_path):
    return lambda: find_extension({"HOME": str(tmp_path)})


def configure(agent, **settings):
    (agent / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "npm:@posthog/pi",
        "npm:@posthog/pi@0.1.1",
        "npm:pi-posthog",
        "npm:pi-posthog@^1.0",
        "git:github.com/PostHog/pi-posthog@v1",
        "https://github.com/PostHog/pi-posthog.git",
        "git:github.com/PostHog/pi-posthog.git#main",
        "./pi-posthog",
        "~/code/node_modules/@posthog/pi",
        {"source": "npm:@posthog/pi"},
        {"source": "npm:@posthog/pi", "skills": []},
    ],
)
def test_a_package_of_that_name_is_found(agent, found, source):
    configure(agent, packages=["npm:other", source])
    assert str(source["source"] if isinstance(source, dict) else source) in found()
    assert str(agent / "settings.json") in found()


@pytest.mark.parametrize(
    "source",
    [
        "npm:my-pi-posthog",
        "npm:pi-posthog-theme",
        "npm:@posthog/pixels",
        "npm:@other/pi",
        "npm:pi2posthog",
        {"source": "npm:@posthog/pi", "extensions": []},
        {"extensions": ["npm:@posthog/pi"]},
        7,
        None,
    ],
)
def test_another_package_is_not_taken_for_it(agent, found, source):
    configure(agent, packages=[source])
    assert found() is None


@pytest.mark.parametrize(
    "path", ["/opt/pi-posthog/index.ts", "+extensions/pi-posthog.ts", "x/@posthog/pi/index.js"]
)
def test_an_extension_that_the_settings_name_is_found(agent, found, path):
    configure(agent, extensions=[path])
    assert path.removeprefix("+") in found()
    configure(agent, extensions=["-" + path.removeprefix("+"), "!" + path])
    assert found() is None


@pytest.mark.parametrize(
    "name", ["pi-posthog.ts", "pi-posthog.js", "pi-posthog/index.ts", "@posthog/pi/index.js"]
)
def test_one_in_the_extensions_folder_is_found_by_its_name(agent, found, name):
    path = agent / "extensions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("export default () => {}")
    assert found().startswith(str(agent / "extensions"))


@pytest.mark.parametrize("name", ["@posthog/pi", "pi-posthog"])
def test_one_under_another_name_is_found_by_its_package_or_its_import(agent, found, name):
    folder = agent / "extensions" / "analytics"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": name}))
    assert found() == str(folder)
    (folder / "package.json").write_text(json.dumps({"name": "analytics"}))
    assert found() is None
    (folder / "index.ts").write_text(f'export {{ default }} from "{name}";')
    assert found() == str(folder)
    (folder / "index.ts").unlink()
    (agent / "extensions" / "a.ts").write_text(f"import track from '{name}/dist/index.js'")
    assert found() == str(agent / "extensions" / "a.ts")


def test_a_local_package_is_found_by_its_own_name(agent, found):
    (agent / "mine").mkdir()
    (agent / "mine" / "package.json").write_text('{"name": "@posthog/pi"}')
    configure(agent, packages=["./mine"])
    assert found().startswith("./mine in ")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"packages": "npm:@posthog/pi"}', '{"packages": {}}', "null"]
)
def test_settings_that_cannot_be_read_are_no_reason_to_stop(agent, found, content):
    (agent / "settings.json").write_text(content)
    (agent / "extensions" / "notes.ts").write_text("// not like pi-posthog")
    (agent / "extensions" / "broken").symlink_to(agent / "nowhere")
    assert found() is None


def test_without_an_agent_folder_nothing_is_found(found):
    assert found() is None


def test_pis_own_folder_is_the_one_that_the_environment_names(agent, tmp_path):
    configure(agent, packages=["npm:pi-posthog"])
    environ = {"HOME": str(tmp_path / "other"), "PI_CODING_AGENT_DIR": str(agent)}
    assert find_extension(environ)
    assert find_extension({"HOME": str(tmp_path / "other")}) is None


def test_the_lines_are_one_line_and_say_what_to_do(agent, found):
    configure(agent, packages=["npm:@posthog/pi@\x1b[31m"])
    for text in (describe_extension(found()), str(refuse_extension(found()))):
        assert text.isprintable()
        assert "counts twice" in text
    assert "--until" in text
    assert "remove it" in text
    assert "--beside-extension" in text
