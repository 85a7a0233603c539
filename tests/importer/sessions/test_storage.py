"""An address has the parts of a path, and shows no secret."""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath

import pytest

from importer.errors import UsageError
from importer.sessions.addresses import shown_url
from importer.sessions.paths import common_folder, full_text, is_url, resolve
from importer.sessions.storage import RemotePath


def test_an_address_has_the_parts_of_a_path():
    path = RemotePath("s3://bucket/a/b/c.jsonl")
    assert (path.name, str(path.parent), path.parent.name) == ("c.jsonl", "s3://bucket/a/b", "b")
    assert [str(parent) for parent in path.parents] == ["s3://bucket/a/b", "s3://bucket/a", "s3://bucket"]
    assert path.with_name("d.jsonl") == path.parent / "d.jsonl" == RemotePath("s3://bucket/a/b/d.jsonl/")
    assert path / "" == path
    assert path.absolute() == PurePosixPath("/bucket/a/b/c.jsonl")
    assert RemotePath("memory://") / "x" == RemotePath("memory://x")


def test_a_key_is_kept_as_it_is():
    assert RemotePath("s3://bucket/a//b/./c").url == "s3://bucket/a//b/./c"


def test_what_is_an_address_and_what_a_path():
    assert isinstance(resolve("s3://bucket/x"), RemotePath)
    assert resolve("file:///tmp/a%20b") == resolve("local:///tmp/a b") == Path("/tmp/a b")
    assert resolve("C:\\sessions") == Path("C:\\sessions")
    assert resolve("a/b") == Path("a/b")
    assert not is_url(Path("s3://bucket"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("ssh://me@host/x", "ssh://me@host/x"),
        ("ssh://me:word@host:22/x", "ssh://***@host:22/x"),
        ("s3://key:se/cr@et/x@bucket/y", "s3://***@bucket/y"),
        ("sftp://host:22/a@b", "sftp://host:22/a@b"),
        ("https://host/x.jsonl?signature=1", "https://host/x.jsonl?***"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url, shown):
    assert shown_url(url) == str(RemotePath(url)) == shown
    assert repr(RemotePath(url)) == f"RemotePath({shown!r})"


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/x", "gs://key:secret@bucket", "s3a://k:se/c@bucket/x"]
)
def test_keys_in_an_address_are_refused_and_not_shown(url):
    with pytest.raises(UsageError, match="an address holds no keys") as raised:
        resolve(url)
    assert "se" not in str(raised.value).partition(": ")[0].removeprefix("s3a")


def test_an_address_can_be_sent_to_another_process():
    path = RemotePath("ssh://me:word@host/x", 7)
    again = pickle.loads(pickle.dumps(path))
    assert (again, again.url, again.size) == (path, path.url, 7)


def test_the_folder_that_addresses_share():
    folders = [RemotePath(f"s3://bucket/sessions/{name}") for name in ("one", "other")]
    assert common_folder(folders) == "s3://bucket/sessions"
    assert common_folder(folders[:1]) == "s3://bucket/sessions/one"
    assert common_folder([Path("/a/b/c"), Path("/a/b/d")]) == "/a/b"
    assert common_folder([*folders, RemotePath("gs://bucket/sessions")]) == "s3://bucket/sessions/one"
    assert common_folder([Path("/a"), *folders]) == "/a"


def test_an_agents_folder_is_recognized_in_an_address():
    assert full_text(RemotePath("s3://bucket/.openclaw/agents/main")) == "/bucket/.openclaw/agents/main"
