"""The command line on a bucket of a real S3 server: what it shows and writes is what it does for a folder."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import warnings

import pytest

from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS, read_records
from tests.command import SAMPLES
from tests.s3_server import BUCKET, connected, s3_server, upload

PLACE = f"s3://{BUCKET}/sessions"


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as environment:
        upload(connected(environment), SAMPLES, f"{BUCKET}/sessions")
        yield environment


def test_preview_shows_the_same(command, bucket):
    there = command("preview", PLACE, "--json", **bucket)
    assert there.code == 0
    assert json.loads(there.out.replace(PLACE, str(SAMPLES))) == command("preview", SAMPLES, "--json").json


def test_backfill_sends_the_same_once(command, bucket, server, tmp_path):
    first = command.send(server, PLACE, "--json", **bucket)
    assert (first.code, first.json["delivered"]) == (0, len(server.accepted))
    assert command.send(server, SAMPLES, "--json").json["delivered"] == 0


def test_backfill_writes_the_same_to_the_byte_here_and_there(command, bucket, tmp_path):
    assert command("backfill", SAMPLES, "--output", tmp_path / "here.jsonl").code == 0
    assert command("backfill", PLACE, "--output", tmp_path / "there.jsonl", **bucket).code == 0
    lines = (tmp_path / "here.jsonl").read_bytes()
    assert (tmp_path / "there.jsonl").read_bytes() == lines
    out = f"s3://{BUCKET}/out/of"
    assert command("backfill", PLACE, "--output", out, **bucket).code == 0
    storage = connected(bucket)
    parts = [gzip.decompress(storage.cat_file(name)) for name in sorted(storage.find(f"{BUCKET}/out"))]
    assert sorted(b"".join(parts).splitlines()) == sorted(lines.splitlines())
    again = command("backfill", PLACE, "--output", out, **bucket)
    assert (again.code, len(again.error_lines)) == (2, 1)
    assert "is not empty" in again.err


def test_status_compares_and_doctor_counts(command, bucket):
    command.ledger.parent.mkdir(parents=True)
    assert (
        command("status", PLACE, "--json", **bucket).json["events"]
        == command("status", SAMPLES, "--json").json["events"]
    )
    (files,) = [
        c for c in command("doctor", PLACE, "--json", **bucket).json["checks"] if c["name"] == "files"
    ]
    assert files["data"]["files"] == len(list(SAMPLES.rglob("*.jsonl")))
    assert PLACE in files["found"]


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["preview", f"s3://{BUCKET}/none"], {}, f"s3://{BUCKET}/none does not exist"),
        (["preview", "s3://no-such-bucket/x"], {}, "s3://no-such-bucket/x does not exist"),
        (["preview", "--from", "s3://no-such-bucket/x"], {}, "no existing file or folder"),
        (
            ["preview", PLACE],
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no credentials were found",
        ),
        (
            ["preview", PLACE],
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
            f"{PLACE} cannot be read: Could not connect",
        ),
        (["watch", PLACE], {"POSTHOG_API_KEY": "phc_x"}, f"watch needs files on this machine, not {PLACE}"),
    ],
)
def test_what_cannot_be_read_is_one_line(command, bucket, arguments, environment, says):
    done = command(*arguments, **(bucket | environment))
    assert done.code == 2
    (line,) = done.error_lines
    assert says in line
    assert bucket["AWS_SECRET_ACCESS_KEY"] not in line


def test_a_bucket_that_is_not_there_gets_nothing(command, bucket):
    done = command("backfill", SAMPLES, "--output", "s3://no-such-bucket/x", "--json", **bucket)
    assert (done.code, done.json["delivered"]) == (1, 0)
    (line,) = done.error_lines
    assert line.startswith("cannot write s3://no-such-bucket/x: ")
    assert not connected(bucket).exists("no-such-bucket")


def ids(file, answers):
    _, records = read_records(file, Settings(), NOW_MS)
    answers.put([record.id for record in records])


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_another_process_reads_what_this_one_found(bucket, monkeypatch, method):
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    file = find_sessions([f"{PLACE}/0.87.1"]).sessions[0]
    start = multiprocessing.get_context(method)
    answers = start.SimpleQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
        worker = start.Process(target=ids, args=(file, answers))
        worker.start()
    got = answers.get()
    worker.join()
    _, records = read_records(file, Settings(), NOW_MS)
    assert got == [record.id for record in records] != []
