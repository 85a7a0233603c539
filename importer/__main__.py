"""The process of ``pi2posthog``, also of ``python -m importer``: arguments in, exit code out."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn, TextIO

import typer

from importer.cli import app
from importer.errors import Pi2PosthogError, UsageError

_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # the ClickException of typer's own click
_INTERRUPTED = 130  # what typer makes of Ctrl-C
_NO_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def command() -> NoReturn:
    """Run the command line and end the process.

    What is printed is written out, but nothing is taken apart that the system takes back at once: that is
    a tenth of a short command's time.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    for stream in (sys.stdout, sys.stderr):
        failed = _write_out(stream, says_so=not code)
        code = code or failed
    os._exit(code if isinstance(code, int) else 1)


def _write_out(stream: TextIO | None, *, says_so: bool) -> int:
    """Write out what a stream still holds: only now does it show that there is no room for a short output."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except OSError as error:
        if says_so and not isinstance(error, BrokenPipeError):
            _say(_no_output(error))
        return 1
    return 0


def main() -> None:
    """Run the command line; every error ends as one line on stderr and the exit code that fits it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    # numpy's linear algebra, which nothing here uses, else starts threads that spin beside the workers
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(prog_name="pi2posthog", standalone_mode=False)
    except UsageError as error:
        _fail(str(error), 2)
    except Pi2PosthogError as error:
        _fail(str(error), 1)
    except _CommandLineError as error:
        _fail(_command_line_advice(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        sys.exit(1)  # the reader of a pipe has gone: there is nothing to say about it
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_OUTPUT:
            raise
        _fail(_no_output(error), 1)
    if code == _INTERRUPTED:
        _fail("Interrupted: run the same command again to go on.", 1)
    sys.exit(code)


def _command_line_advice(error: Exception) -> str:
    """What is wrong with the command line, on one line; empty where the help was shown instead."""
    says = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    return f"{says} See pi2posthog --help." if says else ""


def _no_output(error: OSError) -> str:
    return f"The output cannot be written: {error.strerror}."


def _fail(line: str, code: int) -> NoReturn:
    if line:
        _say(line)
    sys.exit(code)


def _say(line: str) -> None:
    with suppress(OSError):  # where stderr cannot be written to either, the exit code has to do
        typer.echo(f"pi2posthog: {line}", err=True)


if __name__ == "__main__":
    command()
