"""A search finds the files that are sessions, says why it leaves others out, and puts parents first."""

import json
import os
import random
import time
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.places import agent_dir, default_session_dir
from importer.sessions.discovery import find_sessions
from importer.sessions.forks import parents_first
from importer.sessions.session_file import SessionFile


def header(session_id="s1", **more) -> str:
    fields = {"type": "session", "version": 3, "id": session_id, "timestamp": "2026-11-01T10:00:00.250Z"}
    return json.dumps(fields | {"cwd": "/home/ada/shop"} | more) + "\n"


def write(path: Path, content: str | bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = header(path.stem) if content is None else content
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ids(discovery) -> list[str]:
    return [session.session_id for session in discovery.sessions]


def only_skipped(discovery):
    assert discovery.sessions == []
    (skipped,) = discovery.skipped
    assert skipped.reason.isprintable()
    return skipped


# Where pi keeps its sessions


def test_the_agent_folder_is_below_the_home_folder(tmp_path):
    assert agent_dir({"HOME": str(tmp_path)}) == tmp_path / ".pi" / "agent"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/opt/pi", "/opt/pi"),
        ("~", "/home/ada"),
        ("~/pi", "/home/ada/pi"),
        ("~ada/pi", "~ada/pi"),
        ("relative/../pi", "pi"),
        ("file:///opt/my%20pi", "/opt/my pi"),
        ("", "/home/ada/.pi/agent"),
    ],
)
def test_the_agent_folder_is_named_as_pi_understands_it(value, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert agent_dir({"HOME": "/home/ada", "PI_CODING_AGENT_DIR": value}) == tmp_path / expected


def test_a_url_of_another_computer_is_refused():
    with pytest.raises(UsageError, match="PI_CODING_AGENT_DIR"):
        agent_dir({"PI_CODING_AGENT_DIR": "file://elsewhere/pi"})


def test_the_session_folder_is_the_variable_then_the_setting_then_the_default(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert default_session_dir(environ) == tmp_path / ".pi" / "agent" / "sessions"

    write(tmp_path / ".pi" / "agent" / "settings.json", '\ufeff{"sessionDir": "~/mine", "theme": "dark"}')
    assert default_session_dir(environ) == tmp_path / "mine"

    environ["PI_CODING_AGENT_SESSION_DIR"] = "~/other"
    assert default_session_dir(environ) == tmp_path / "other"


@pytest.mark.parametrize("content", ["{", '{"sessionDir": 5}', "[]"])
def test_settings_of_pi_that_cannot_be_understood_are_not_guessed(content, tmp_path):
    path = write(tmp_path / "settings.json", content)

    with pytest.raises(UsageError) as caught:
        default_session_dir({"PI_CODING_AGENT_DIR": str(tmp_path)})
    assert str(path) in str(caught.value)


def test_without_a_path_pis_own_folder_is_searched(tmp_path):
    write(tmp_path / ".pi" / "agent" / "sessions" / "--home-ada--" / "a.jsonl")

    assert ids(find_sessions(environ={"HOME": str(tmp_path)})) == ["a"]


def test_a_missing_default_folder_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(UsageError) as caught:
        find_sessions(environ={"HOME": str(tmp_path)})

    assert str(tmp_path / ".pi" / "agent" / "sessions") in str(caught.value)
    assert "PATH" in str(caught.value)


# Which files


def test_a_folder_is_searched_recursively_in_the_order_of_names(tmp_path):
    for name in ("b/2.jsonl", "b/1.jsonl", "a/z/3.jsonl", "a/4.jsonl", "5.jsonl", "notes.txt", "6.jsonl.bak"):
        write(tmp_path / name)

    found = find_sessions([tmp_path])

    assert [s.path.relative_to(tmp_path).as_posix() for s in found.sessions] == [
        "5.jsonl",
        "a/4.jsonl",
        "a/z/3.jsonl",
        "b/1.jsonl",
        "b/2.jsonl",
    ]
    assert found.skipped == []


def test_a_named_file_may_have_any_name(tmp_path):
    assert ids(find_sessions([write(tmp_path / "session.bak", header("x"))])) == ["x"]


def test_a_folder_named_like_a_session_is_searched(tmp_path):
    write(tmp_path / "a.jsonl" / "b.jsonl")

    assert ids(find_sessions([tmp_path])) == ["b"]


def test_a_path_that_does_not_exist_is_one_line(tmp_path):
    write(tmp_path / "file")
    for missing in (tmp_path / "no\nwhere", tmp_path / "file" / "below"):
        with pytest.raises(UsageError) as caught:
            find_sessions([missing])
        assert "does not exist" in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_file_reached_twice_counts_once(tmp_path):
    path = write(tmp_path / "a" / "1.jsonl")
    os.link(path, tmp_path / "a" / "hard.jsonl")
    (tmp_path / "a" / "0link.jsonl").symlink_to(path)

    found = find_sessions([tmp_path, path, tmp_path / "a", tmp_path / "a" / ".." / "a"])

    assert [s.path for s in found.sessions] == [path]
    assert found.skipped == []


def test_two_copies_of_a_file_are_two_files(tmp_path):
    write(tmp_path / "a.jsonl", header("same"))
    write(tmp_path / "b.jsonl", header("same"))

    assert ids(find_sessions([tmp_path])) == ["same", "same"]


def test_a_link_to_a_folder_is_not_followed_inside_a_folder_but_is_when_named(tmp_path):
    write(tmp_path / "elsewhere" / "a.jsonl")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")

    found = find_sessions([tmp_path / "tree"])
    assert ids(found) == []
    assert [(s.path.name, s.serious) for s in found.skipped] == [("link", False), ("loop", False)]
    assert ids(find_sessions([tmp_path / "tree" / "link"])) == ["a"]


def test_a_link_to_a_file_outside_of_the_folder_is_left_out_but_is_read_when_named(tmp_path):
    write(tmp_path / "tree2" / "a.jsonl")
    (tmp_path / "tree").mkdir()
    link = tmp_path / "tree" / "link.jsonl"
    link.symlink_to(tmp_path / "tree2" / "a.jsonl")

    skipped = only_skipped(find_sessions([tmp_path / "tree"]))
    assert (skipped.path, skipped.serious) == (link, False)
    assert "out of the folder" in skipped.reason
    assert ids(find_sessions([link])) == ["a"]


def test_a_link_inside_the_folder_to_a_file_of_another_name_is_read(tmp_path):
    write(tmp_path / "a.data")
    (tmp_path / "link.jsonl").symlink_to("a.data")

    assert ids(find_sessions([tmp_path])) == ["a"]


def test_a_link_that_leads_nowhere_inside_the_folder_is_serious(tmp_path):
    (tmp_path / "gone.jsonl").symlink_to("deleted.jsonl")

    assert only_skipped(find_sessions([tmp_path])).serious


def test_a_link_to_itself_is_serious_and_stops_nothing(tmp_path):
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    write(tmp_path / "ok.jsonl")

    found = find_sessions([tmp_path])

    assert ids(found) == ["ok"]
    assert [(s.path.name, s.serious) for s in found.skipped] == [("loop.jsonl", True)]
    assert "cannot be read" in found.skipped[0].reason
    assert only_skipped(find_sessions([tmp_path / "loop.jsonl"])).serious


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file whose reading fails")
def test_an_input_output_error_is_serious():
    assert only_skipped(find_sessions([Path("/proc/self/mem")])).serious


def test_a_pipe_is_left_out_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")

    assert not only_skipped(find_sessions([tmp_path])).serious


def test_names_that_are_not_text_are_no_obstacle(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\n.jsonl"
    with open(path, "wb") as file:
        file.write(header("odd").encode())

    assert ids(find_sessions([tmp_path])) == ["odd"]


# What makes a session file


@pytest.mark.parametrize(
    "content",
    [
        header("x"),
        header("x").rstrip("\n"),
        header("x").replace("\n", "\r\n"),
        "\n  \n" + header("x"),
        b"\0" * 6000 + b"\n" + header("x").encode(),
        '{"type":"session","id":"torn\n' + header("x"),
        '{"type":"title","title":"Fix it"}' + " " * 200 + "\n" + header("x"),
        "null\nfalse\n0\n" + header("x"),
        header("x", cwd="/" + "d" * 100_000),
        b'{"type":"session","id":"x","cwd":"/\xff"}\n',
        "[" * 20_000 + "\n" + header("x"),
        '{"type":"session","id":"x","cwd":"C:\\\\\\ud83d"}\n',
        b"\0\0" + header("x").encode(),
        header("x") + "garbage\0\n",
    ],
    ids=[
        "plain",
        "no newline at the end",
        "CR LF",
        "blank lines before",
        "NULs before",
        "torn line before",
        "title before",
        "false values before",
        "header longer than the first read",
        "invalid UTF-8",
        "nested too deeply",
        "half a surrogate pair",
        "NULs before on the same line",
        "garbage behind",
    ],
)
def test_a_session_starts_with_its_header(content, tmp_path):
    assert ids(find_sessions([write(tmp_path / "a.jsonl", content)])) == ["x"]


@pytest.mark.parametrize(
    "content",
    [
        '{"version":1,"recordType":"message","runId":"r"}\n' + header(),
        '{"type":"message","id":"m1"}\n' + header(),
        '{"type":"session"}\n',
        '{"type":"session","id":7}\n' + header(),
        "[]\n" + header(),
        "7\n" + header(),
        "not JSON at all\n",
        " \n\n",
        '{"type":"title","title":"alone"}\n',
        "x" * (1024 * 1024) + "\n" + header(),
    ],
    ids=[
        "subagent transcript",
        "a message first",
        "no id",
        "an id that is no text",
        "an array first",
        "a number first",
        "garbage",
        "blank",
        "only a title",
        "header behind the first MiB",
    ],
)
def test_other_files_are_left_out_quietly(content, tmp_path):
    skipped = only_skipped(find_sessions([write(tmp_path / "a.jsonl", content)]))

    assert (skipped.reason, skipped.serious) == ("not a session file", False)


def test_a_header_that_ends_exactly_at_the_limit_counts(tmp_path):
    line = header("x").rstrip("\n").encode()
    path = write(tmp_path / "a.jsonl", b"\n" * (1024 * 1024 - len(line)) + line)

    assert ids(find_sessions([path])) == ["x"]


def test_an_empty_file_is_called_so(tmp_path):
    skipped = only_skipped(find_sessions([write(tmp_path / "a.jsonl", "")]))

    assert (skipped.reason, skipped.serious) == ("empty file", False)


def test_the_facts_of_the_header_and_the_file_are_kept(tmp_path):
    path = write(tmp_path / "a.jsonl", header("s9", parentSession="/p.jsonl"))
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))

    (session,) = find_sessions([path]).sessions

    assert session == SessionFile(
        path=path,
        size=path.stat().st_size,
        mtime_ns=1_700_000_000_123_456_789,
        session_id="s9",
        cwd="/home/ada/shop",
        version=3,
        timestamp_ms=1_793_527_200_250,
        parent_session="/p.jsonl",
    )


def test_a_header_of_version_1_has_no_version_and_names_its_parent_differently(tmp_path):
    line = {"type": "session", "id": "x", "timestamp": "2026-11-01T10:00:00", "branchedFrom": "/old.jsonl"}
    (session,) = find_sessions([write(tmp_path / "a.jsonl", json.dumps(line))]).sessions

    assert session.version == 1
    assert session.parent_session == "/old.jsonl"
    assert session.timestamp_ms == 1_793_527_200_000


@pytest.mark.parametrize("wrong", [None, True, 1.5, [], {}, "nonsense", 10**30])
def test_header_fields_of_a_wrong_type_are_unknown(wrong, tmp_path):
    line = header("x", cwd=wrong, version=wrong, timestamp=wrong, parentSession=wrong)
    (session,) = find_sessions([write(tmp_path / "a.jsonl", line)]).sessions

    text = wrong if isinstance(wrong, str) else None
    assert (session.cwd, session.parent_session, session.timestamp_ms) == (text, text, None)
    assert session.version == (wrong if wrong == 10**30 else None)


# The order


def session(
    path: str, parent: str | None = None, time_ms: int | None = 0, session_id: str = ""
) -> SessionFile:
    session_id = session_id or Path(path).stem.partition("_")[2] or path
    return SessionFile(Path(path), 1, 1, session_id, timestamp_ms=time_ms, parent_session=parent)


def ordered(*sessions: SessionFile) -> list[str]:
    """Return the paths in order, after checking that the order of the input does not matter."""
    expected = [str(s.path) for s in parents_first(sessions)]
    shuffled = list(sessions)
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        assert [str(s.path) for s in parents_first(shuffled)] == expected
    return expected


def test_unrelated_sessions_go_by_time_and_then_path():
    assert ordered(
        session("/c.jsonl", time_ms=1),
        session("/b.jsonl", time_ms=2),
        session("/a.jsonl", time_ms=2),
        session("/0.jsonl", time_ms=None),
    ) == ["/c.jsonl", "/a.jsonl", "/b.jsonl", "/0.jsonl"]


def test_a_parent_goes_before_its_forks_and_theirs_even_if_the_clock_ran_backwards():
    assert ordered(
        session("/grandchild.jsonl", parent="/child.jsonl", time_ms=1),
        session("/child.jsonl", parent="/root.jsonl", time_ms=2),
        session("/other.jsonl", time_ms=2),
        session("/root.jsonl", time_ms=3),
    ) == ["/other.jsonl", "/root.jsonl", "/child.jsonl", "/grandchild.jsonl"]


@pytest.mark.parametrize(
    "parent",
    [
        "/new/2026_p1.jsonl",
        "/new/x/../2026_p1.jsonl",
        "/old/2026_p1.jsonl",
        "C:\\Users\\ada\\2026_p1.jsonl",
        "/old/2025_p1.jsonl",
        "p1",
    ],
    ids=["path", "path with dots", "moved", "from Windows", "renamed", "id alone"],
)
def test_a_parent_is_found_by_path_then_name_then_id(parent):
    child = session("/new/2026_c1.jsonl", parent=parent, time_ms=1)

    assert ordered(child, session("/new/2026_p1.jsonl", time_ms=2)) == [
        "/new/2026_p1.jsonl",
        "/new/2026_c1.jsonl",
    ]


def test_the_full_path_wins_over_the_name():
    assert ordered(
        session("/a/p.jsonl", time_ms=9, session_id="p"),
        session("/b/p.jsonl", time_ms=8, session_id="p"),
        session("/c.jsonl", parent="/b/p.jsonl", time_ms=1),
    ) == ["/b/p.jsonl", "/c.jsonl", "/a/p.jsonl"]


def test_a_name_that_different_sessions_share_tells_nothing():
    assert ordered(
        session("/1/run-0/session.jsonl", time_ms=8, session_id="x"),
        session("/2/run-0/session.jsonl", time_ms=9, session_id="y"),
        session("/c.jsonl", parent="/moved/run-0/session.jsonl", time_ms=1),
    ) == ["/c.jsonl", "/1/run-0/session.jsonl", "/2/run-0/session.jsonl"]


def test_two_copies_of_a_session_go_by_path():
    assert ordered(session("/b/1_x.jsonl"), session("/a/1_x.jsonl")) == ["/a/1_x.jsonl", "/b/1_x.jsonl"]


def test_a_missing_parent_and_one_that_is_itself_are_ignored():
    assert ordered(
        session("/a.jsonl", parent="/deleted.jsonl", time_ms=1),
        session("/b.jsonl", parent="/b.jsonl", time_ms=2),
    ) == ["/a.jsonl", "/b.jsonl"]


def test_a_cycle_is_broken_at_its_earliest_file():
    assert ordered(
        session("/a.jsonl", parent="/b.jsonl", time_ms=3),
        session("/b.jsonl", parent="/c.jsonl", time_ms=2),
        session("/c.jsonl", parent="/a.jsonl", time_ms=4),
        session("/tail.jsonl", parent="/a.jsonl", time_ms=1),
    ) == ["/b.jsonl", "/a.jsonl", "/tail.jsonl", "/c.jsonl"]


@pytest.mark.parametrize("shape", ["chain", "star"])
def test_a_hundred_thousand_forks_take_seconds_not_hours(shape):
    count = 100_000
    sessions = [
        session(
            f"/s/t_{n}.jsonl",
            parent=None if n == 0 else f"/s/t_{n - 1 if shape == 'chain' else 0}.jsonl",
            time_ms=-n,
        )
        for n in range(count)
    ]
    started = time.perf_counter()

    result = parents_first(sessions)

    assert time.perf_counter() - started < 20
    assert result[0].session_id == "0"
    assert len(result) == count
