"""An S3 server on the loopback, and the same files in it as in a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import s3fs
from moto.server import ThreadedMotoServer

BUCKET = "sessions-bucket"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run a server with one empty bucket; yield the environment in which a command finds it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key-of-the-tests",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        connected(environment).mkdir(BUCKET)
        yield environment
    finally:
        server.stop()


def connected(environment: dict[str, str]) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=environment["AWS_ACCESS_KEY_ID"],
        secret=environment["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        use_listings_cache=False,
    )


def upload(storage, folder: Path, target: str) -> None:
    """Put the files below a folder into a storage of fsspec."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.pipe_file(f"{target}/{path.relative_to(folder).as_posix()}", path.read_bytes())
