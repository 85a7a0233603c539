"""The process of ``pi2posthog`` and of ``python -m importer``: arguments in, exit code out."""

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

# typer does not export the ClickException of the click that it uses.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]
_INTERRUPTED = 130  # what typer makes of Ctrl-C
_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def command() -> NoReturn:
    """Run the command line and end the process.

    The output is flushed, but the interpreter is not shut down: that takes a tenth of a short command's time.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    for stream in (sys.stdout, sys.stderr):
        failed = _flush(stream, report=not code)
        code = code or failed
    os._exit(code if isinstance(code, int) else 1)


def _flush(stream: TextIO | None, *, report: bool) -> int:
    """Flush a stream and return an exit code: a full disk shows only now if the output is short."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except OSError as error:
        if report and not isinstance(error, BrokenPipeError):
            _say(_explain_output(error))
        return 1
    return 0


def main() -> None:
    """Run the command line. Every error ends as one line on stderr and the exit code that fits it.

    Raises:
        SystemExit: always: 0 if all went well, 1 if something failed, 2 for wrong usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character
            stream.reconfigure(errors="backslashreplace")
    # numpy's linear algebra is not used here, but its threads would spin beside the workers
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(prog_name="pi2posthog", standalone_mode=False)
    except UsageError as error:
        _fail(str(error), 2)
    except Pi2PosthogError as error:
        _fail(str(error), 1)
    except _CommandLineError as error:
        _fail(_explain_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        sys.exit(1)  # the reader of a pipe has gone, and nobody reads a message
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
            raise
        _fail(_explain_output(error), 1)
    if code == _INTERRUPTED:
        _fail("Interrupted: run the same command again to go on.", 1)
    sys.exit(code)


def _explain_usage(error: Exception) -> str:
    """Say what is wrong with the command line, on one line; empty if the help was shown instead."""
    says = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    return f"{says} See pi2posthog --help." if says else ""


def _explain_output(error: OSError) -> str:
    return f"The output cannot be written: {error.strerror}."


def _fail(line: str, code: int) -> NoReturn:
    if line:
        _say(line)
    sys.exit(code)


def _say(line: str) -> None:
    with suppress(OSError):  # if stderr cannot be written to either, the exit code has to do
        typer.echo(f"pi2posthog: {line}", err=True)


if __name__ == "__main__":
    command()
