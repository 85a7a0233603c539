"""The HTTP status in the error messages of pi's providers."""

import pytest

from parsers.pi.generations import http_status


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("429 Rate limit reached for gpt-5", 429),
        ("503 status code (no body)", 503),
        ('400: {"message":"boom","type":"mock"}', 400),
        ('529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 529),
        ("Error: 401 Incorrect API key provided", 401),
        ("502", 502),
        ("OpenAI API error (429): 429 too many", 429),
        ("Azure OpenAI API error (HTTP 404): Resource not found", 404),
        ('Mistral API error (422): {"detail":"no"}', 422),
        ('got status: 503 . {"error":{"code":503,"message":"The model is overloaded."}}', 503),
        ("Request failed with status code 500", 500),
        ("HTTP request failed. status=403; url=https://example.com", 403),
        ("xAI OAuth refresh failed (HTTP 400)", 400),
        ("HTTP/1.1 502 Bad Gateway", 502),
        ('{"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED"}}', 429),
        ('{"error":{"message":"{\\n  \\"error\\": {\\n    \\"code\\": 503,\\n", "code":0}}', 503),
        ("  500 Internal\nServer Error", 500),
        ("Provider said:\nstatus code: 504", 504),
    ],
)
def test_a_status_that_the_message_shows_is_found(message: str, status: int) -> None:
    assert http_status(message) == status


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        "Connection error.",
        "Request was aborted.",
        "fetch failed: ECONNREFUSED 127.0.0.1:443",
        "This model's maximum context length is 20000 tokens.",
        "prompt is too long: 400 tokens over the limit",
        "200 OK, but no body",
        "4290 requests were made",
        "429s are not shown here",
        "ThrottlingException: Too many tokens, please wait",
        "terminated after 503 ms",
        "x" * 3000 + " status code 500",
    ],
)
def test_no_status_is_made_up(message: str | None) -> None:
    assert http_status(message) is None
