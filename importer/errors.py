"""Every error class of the importer.

::

    Exception
    ├─ Pi2PosthogError           anything the importer raises on purpose
    │  ├─ UsageError             wrong usage, settings or files: exit code 2
    │  │  └─ DamagedLedgerError  the ledger's file is damaged and can be set aside
    │  ├─ DeliveryError          PostHog did not take the events: exit code 1
    │  │  ├─ RefusedError        PostHog refused one request for good
    │  │  └─ DeliveryStoppedError  sending was stopped on request
    │  └─ LedgerError            the ledger cannot be read or written now: exit code 1
    └─ ValueError
       └─ BadValueError          a setting has a value that is not allowed

The text of each `Pi2PosthogError` is one line for the user that says what to do. It never holds an API key
or the text of a prompt::

    from importer.errors import DeliveryError

    try:
        importer.backfill(plan, settings)
    except DeliveryError as error:
        print(error)  # "Gave up after 6 tries: https://eu.i.posthog.com answered 503; nothing …"
"""

from __future__ import annotations

from pathlib import Path

from importer.quoting import printable


class Pi2PosthogError(Exception):
    """The base of every error that the importer raises on purpose."""


class UsageError(Pi2PosthogError):
    """Wrong usage, settings or files. The command exits with 2."""


class DamagedLedgerError(UsageError):
    """SQLite finds the ledger's file damaged. `path` names the file, which can be set aside."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The ledger {printable(path)} is damaged: run pi2posthog backfill --yes to set it aside and "
            "begin a new one, or move it away (PostHog's trace screens then count the last 30 days twice)."
        )
        self.path = path


class DeliveryError(Pi2PosthogError):
    """PostHog did not take the events, and trying again now would not help. The command exits with 1."""


class RefusedError(DeliveryError):
    """PostHog refused one request for good.

    Attributes:
        status: the HTTP status.
        says: what the server said, as `` (it said: …)``; empty where it said nothing.
    """

    def __init__(self, text: str, status: int, says: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.says = says


class DeliveryStoppedError(DeliveryError):
    """Sending was stopped on request. What was delivered until then stays delivered."""


class LedgerError(Pi2PosthogError):
    """The ledger cannot be read or written now (full disk, permissions, input/output error)."""


class BadValueError(ValueError):
    """A setting has a value that is not allowed. The text says what is allowed."""
