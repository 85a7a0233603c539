"""Errors that reach the user: one line each, saying what to do."""

from __future__ import annotations


class Pi2PosthogError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""


class UsageError(Pi2PosthogError):
    """Wrong usage or settings; the command exits with 2."""


class DeliveryError(Pi2PosthogError):
    """PostHog did not take the events and trying again now would not help; the command exits with 1."""
