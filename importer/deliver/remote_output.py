"""Which output the user named; and a remote storage as one: parts are uploaded once they are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from importer.deliver.output import FileOutput, FolderOutput, Output, Partitions, Write
from importer.errors import Pi2PosthogError, UsageError
from importer.quoting import printable
from importer.sessions.addresses import os_error
from importer.sessions.paths import resolve
from importer.sessions.storage import RemotePath, filesystem

_FILES = (".jsonl", ".gz")


def output_of(named: str | Path) -> Output:
    """Return the output that the user named.

    An existing folder, or a name that ends in a separator, is a folder for parts; anything else is one file.
    At the address of a remote storage, only a name that ends in ``.jsonl`` or ``.gz`` is a file.

    Raises:
        UsageError: the folder holds something: two exports in one would be imported as one.
    """
    path = resolve(named)
    if isinstance(path, RemotePath):
        return RemoteOutput(path)
    if path.is_dir() or str(named).endswith(tuple(filter(None, (os.sep, os.altsep)))):
        return FolderOutput(path)
    return FileOutput(path)


class RemoteOutput:
    """A file (``s3://bucket/events.jsonl.gz``) or a folder for parts (any other name) in a storage.

    Raises:
        UsageError: the folder is not empty, or the storage cannot be reached.
    """

    def __init__(self, place: RemotePath) -> None:
        self._place = place
        self._fs, self._inside = filesystem(place)
        self._is_file = place.name.endswith(_FILES)
        if self._is_file:
            return
        try:
            self._fs.invalidate_cache()
            listed = self._fs.ls(self._inside, detail=False)
            held = [name for name in listed if name.strip("/") != self._inside.strip("/")]
        except FileNotFoundError:
            held = []
        except Exception as error:
            reason = os_error(error, place.url).strerror
            raise UsageError(f"cannot write to {printable(place)}: {reason}") from None
        if held:
            raise UsageError(
                f"{printable(place)} is not empty: name another folder, so that no two exports mix"
            )

    @contextmanager
    def opened(self) -> Iterator[Write]:
        """Open it; see :meth:`importer.deliver.output.Output.opened`.

        Parts are uploaded one by one. If anything is raised, those that were uploaded are deleted, as far as
        the storage lets us.
        """
        uploaded: list[str] = []

        def upload(path: Path, name: str) -> None:
            target = f"{self._inside.rstrip('/')}/{name}" if name else self._inside
            if name:  # a file that cannot be replaced stays
                uploaded.append(target)
            try:
                if not self._fs.async_impl:  # buckets have no folders, and s3fs would make a bucket
                    self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                thread.submit(self._fs.put_file, str(path), target).result()
            except Exception as error:
                raise os_error(error, self._place.url) from None
            path.unlink()

        # In a thread: Ctrl-C does not stop an upload, and what it leaves can only be deleted after it.
        thread = ThreadPoolExecutor(1)
        with tempfile.TemporaryDirectory(prefix="pi2posthog-") as folder, thread:
            try:
                if self._is_file:
                    whole = Path(folder) / self._place.name
                    with FileOutput(whole).opened() as write:
                        yield write
                    upload(whole, "")
                else:
                    with Partitions(Path(folder), upload) as parts:
                        yield parts.write
            except BaseException as error:
                thread.shutdown(wait=True)
                for target in uploaded:
                    with suppress(Exception):
                        self._fs.rm_file(target)
                if isinstance(error, OSError):
                    reason = error.strerror or error
                    raise Pi2PosthogError(f"cannot write {printable(self._place)}: {reason}") from None
                raise
