"""Sessions of pi, the terminal coding agent, as tables, and as events for PostHog's LLM analytics.

>>> import importer
>>> files = importer.find_sessions()                        # as pi finds them
>>> calls = importer.read_generations(files)                # a DataFrame, one row a model call
>>> importer.totals(calls, by=["project", "model"])         # tokens and US dollars
>>> plan = importer.make_plan(files, since="7d")            # what an import would send
>>> importer.backfill(plan)                                 # send what was not delivered yet
>>> importer.watch()                                        # send what is new while pi runs

Nothing slow is imported before it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importer.api import (
        backfill,
        find_sessions,
        make_plan,
        read_events,
        read_generations,
        read_spans,
        watch,
    )
    from importer.settings import Settings, load_settings
    from importer.totals import totals

__version__ = "0.1.0"

__all__ = [
    "Settings",
    "backfill",
    "find_sessions",
    "load_settings",
    "make_plan",
    "read_events",
    "read_generations",
    "read_spans",
    "totals",
    "watch",
]

_PLACES = {"Settings": "settings", "load_settings": "settings", "totals": "totals"}


def __getattr__(name: str) -> Any:
    """Import what a public name stands for, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES.get(name, 'api')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Api(ModuleType):
    """This module: `watch` and `totals` are its functions, whichever room of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Api
