"""Which output the user named; and a remote storage as one: parts are uploaded once they are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from importer.deliver.output import FileOutput, FolderOutput, Output, Partitions, StreamOutput, Write
from importer.errors import Pi2PosthogError, UsageError
from importer.quoting import printable
from importer.sessions.addresses import os_error
from importer.sessions.exports import is_export, refuse_replacing
from importer.sessions.paths import SessionPath, full_text, resolve
from importer.sessions.storage import RemotePath, filesystem

_FILES = (".jsonl", ".gz")
_STDOUT = 1


def is_stdout(named: str | Path) -> bool:
    """Return whether the user named stdout: ``-`` or ``/dev/stdout``."""
    return str(named) in ("-", "/dev/stdout")


def output_of(named: str | Path, *, force: bool = False, inputs: Sequence[SessionPath] = ()) -> Output:
    """Return the output that the user named. Nothing is written yet.

    ``-`` is stdout. An existing folder, or a name that ends in a separator, is a folder for parts; anything
    else is one file. At the address of a remote storage, only a name that ends in ``.jsonl`` or ``.gz`` is a
    file.

    Args:
        named: the file, folder or address.
        force: whether a file that holds an export may be replaced.
        inputs: files and folders that are read; nothing is written to them or below them.

    Raises:
        UsageError: it is one of the inputs or below one, it is a file that must stay, or the folder holds
            something: two exports in one would be imported as one.
    """
    if is_stdout(named):
        return StreamOutput(_STDOUT)
    path = resolve(named)
    if any(_is_within(path, place) for place in inputs):
        raise UsageError(f"{printable(path)} is among the sessions that are read: write to another place")
    if isinstance(path, RemotePath):
        return RemoteOutput(path, force=force)
    if path.is_dir() or str(named).endswith(tuple(filter(None, (os.sep, os.altsep)))):
        return FolderOutput(path)
    return FileOutput(path, force=force)


def _is_within(path: SessionPath, place: SessionPath) -> bool:
    """Return whether a path is a place or below it, whatever names and links lead there."""
    if isinstance(path, RemotePath) or isinstance(place, RemotePath):
        inside, outside = full_text(path).rstrip("/") + "/", full_text(place).rstrip("/") + "/"
        return isinstance(path, RemotePath) and inside.startswith(outside)
    real = Path(os.path.realpath(path))
    with suppress(OSError):
        status = os.stat(place)
        for each in (real, *real.parents):
            with suppress(OSError):
                if os.path.samestat(os.stat(each), status):
                    return True
    return False


class RemoteOutput:
    """A file (``s3://bucket/events.jsonl.gz``) or a folder for parts (any other name) in a storage.

    Args:
        place: its address.
        force: whether it may replace a file that holds an export.

    Raises:
        UsageError: the folder is not empty, the file must stay, or the storage cannot be reached.
    """

    def __init__(self, place: RemotePath, *, force: bool = False) -> None:
        self._place = place
        self._fs, self._inside = filesystem(place)
        self._is_file = place.name.endswith(_FILES)
        if self._is_file:
            self._check_file(force=force)
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

    def _check_file(self, *, force: bool) -> None:
        """Raise UsageError if there is a file that is no export, or an export and no ``force``."""
        try:
            self._fs.invalidate_cache()
            with self._fs.open(self._inside, "rb") as file:
                is_ours = is_export(file, compressed=self._place.name.endswith(".gz"))
        except FileNotFoundError:
            return
        except Exception as error:
            reason = os_error(error, self._place.url).strerror
            raise UsageError(f"cannot write to {printable(self._place)}: {reason}") from None
        refuse_replacing(self._place, is_ours=is_ours, force=force)

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
