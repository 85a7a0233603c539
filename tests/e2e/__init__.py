"""Tests against the real agent."""
