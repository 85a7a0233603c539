"""A PostHog that knows one project, and what finds a check in the doctor's output."""

from __future__ import annotations

import json
import re
import time
from email.utils import formatdate
from typing import Any

from tests.command import Finished
from tests.posthog_server import PostHogServer, _Handler

KEY = "phc_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


class ProjectServer(PostHogServer):
    """A PostHog that also serves the web SDK's configuration of its one project.

    Args:
        skew_s: by how many seconds its clock is ahead.
        known: whether it has the project of :data:`KEY`.
    """

    def __init__(self, *, skew_s: float = 0.0, known: bool = True) -> None:
        super().__init__(api_key=KEY)
        self.asked: list[str] = []
        outer = self

        class Handler(_Handler):
            def parse_request(self) -> bool:
                parsed = super().parse_request()
                if parsed:  # a proxy is asked for the whole address
                    self.path = self.path.removeprefix("http://us.i.posthog.com")
                return parsed

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
                outer.asked.append(self.path)
                found = known and self.path == f"/array/{KEY}/config"
                body = json.dumps({"token": KEY, "hasFeatureFlags": False} if found else {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + skew_s, usegmt=True)

        self._server.RequestHandlerClass = Handler


def find_line(done: Finished, name: str) -> str:
    """Find the text of one check, on one line again, with its state."""
    text = re.sub(r"\n {9,}", " ", done.out)
    (line,) = (line for line in text.splitlines() if re.match(rf"\S+ +{re.escape(name)} ", line))
    return re.sub(r" +", " ", line)


def find_check(done: Finished, name: str) -> dict[str, Any]:
    """Find the one check of that name in the JSON output."""
    (check,) = (check for check in done.json["checks"] if check["name"] == name)
    return check
