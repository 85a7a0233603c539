"""Delivery: batches, HTTP, retries, and files of JSON lines."""
