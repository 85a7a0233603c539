"""Errors that reach the user: one line each, saying what to do."""

from __future__ import annotations


class PiPosthogError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""


class UsageError(PiPosthogError):
    """Wrong usage or settings; the command exits with 2."""


class DeliveryError(PiPosthogError):
    """PostHog did not take the events and trying again now would not help; the command exits with 1."""
