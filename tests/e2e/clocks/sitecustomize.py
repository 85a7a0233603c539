"""Python imports this by its name when it starts: a clock that is CLOCK_AHEAD_S seconds ahead."""

import os
import time

_real = time.time
_ahead_s = float(os.environ.get("CLOCK_AHEAD_S", "0"))
time.time = lambda: _real() + _ahead_s
