"""Measurements of what the issues promise; each fails when one is not kept. Not part of the test run."""
