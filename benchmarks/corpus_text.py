"""Made-up texts, escaped for JSON strings: code, output, prose and signatures.

A pool of each kind is made once from the seed, and a text is a slice of it: making every text would take
longer than everything else. The lines of a pool are escaped, so a slice between two lines is valid JSON.
"""

from __future__ import annotations

import base64
import json
import random
from bisect import bisect_right

POOL_BYTES = 1_500_000
_NON_ASCII = 0.0015  # share of a pool's lines; that makes 4 % of a session's lines, as in a real one
_WORDS = """
the a to of and in that is for it with as on this be not or are from by when if then so now only
one new value result file line test call name path state order customer price total index cache
request response handler server client session record update check build return error retry
timeout queue worker parser buffer stream header field column table query commit branch config
option default module import class function method argument type string number list map set key
first last next previous empty missing
"""
_FOREIGN = ("größer", "naïve", "→", "✓", "…", "café", "“quoted”", "値", "🙂")
_CODE = (
    "    {0} = self.{1}({2}, {3}={4!r})",
    "    if {0} is None or {1} > {2}.{3}:",
    '        raise ValueError(f"{0} {1} {{{2}}}")',
    "def {0}_{1}({2}: str, {3}: int = 0) -> dict[str, {1}]:",
    '    """{0} {1} {2} {3} {4}."""',
    "",
    "  const {0} = await {1}.{2}({{ {3}: '{4}', {0} }});",
    '\t\t"{0}": ["{1}", {2}],',
    '\t"{0}": "{1}", "{2}": "{3}",',
    '\t<{0} class="{1}" id="{2}">',
    "\t\t}}",
    "    else:",
    "{{",
    '  "{0}": {{"{1}": "{2}", "{3}": ["{4}"]}},',
    '\t\t\t"{1}",',
    '\tself.{0}["{1}"] = "{2}"',
    "    for {0}, {1} in {2}.items():",
    "        {0}.append(({1}, {2}[{3}]))  # {4} {0}",
    'import {{ {0}, {1} }} from "./{2}/{3}";',
    "    return {0}",
)
_OUTPUT = (
    "src/{0}/{1}_{2}.py:{n}:    {3} = {4}",
    "tests/{0}/test_{1}.py::test_{2}_{3} PASSED   [ {n}%]",
    "-rw-r--r-- 1 dev dev {n} Mar  1 10:00 {0}-{1}.json",
    "{n}  {0}/{1}/{2}.ts",
    "WARNING {0}: {1} {2} took {n} ms ({3} {4})",
    '{{"{0}":{n},"{1}":"{2}"}}',
    '\t"{0}": "{1}",',
    "ok {n}",
    '  "{0}": {{"{1}": "{2}", "{3}": ["{4}", "{0}"]}},',
    '\t"{0}"\t"{1}"\t{n}',
    '\t<{0} class="{1}" id="{2}">',
    "",
    '  File "/home/dev/shop/src/{0}/{1}.py", line {n}, in {2}',
    "{n} {0} {1} {2} {3} {4} {0} {2}",
)
_PROSE = (
    "The {0} {1} in `{2}` should {3} the {4} before it {0}s.",
    "- {0} {1}: the {2} {3} is {4}, so the {1} {0} stays as it is.",
    "Let me look at the {0} first, then change how the {1} {2} works with {3} and {4}.",
    "I need to {0} the {1}; otherwise the {2} would {3} {4} twice.",
    "",
)


class Pool:
    """A pool of lines of one kind of text."""

    def __init__(self, chance: random.Random, patterns: tuple[str, ...], size: int = POOL_BYTES) -> None:
        """Make about ``size`` bytes of lines from patterns."""
        self._chance = chance
        lines: list[bytes] = []
        known = _WORDS.split()
        self._starts = [0]
        while self._starts[-1] < size:
            words = [chance.choice(known) for _ in range(5)]
            if chance.random() < _NON_ASCII:
                words[0] = chance.choice(_FOREIGN)
            text = chance.choice(patterns).format(*words, n=chance.randrange(1, 999))
            lines.append(json.dumps(text, ensure_ascii=False)[1:-1].encode() + b"\\n")
            self._starts.append(self._starts[-1] + len(lines[-1]))
        self._bytes = b"".join(lines)

    def cut(self, size: int) -> bytes:
        """Cut whole lines of about ``size`` bytes: at least one, at most 60 kB, without the last newline."""
        starts = self._starts
        first = int(self._chance.random() * (len(starts) - 2000))
        end = starts[bisect_right(starts, max(starts[first] + size, starts[first + 1])) - 1]
        return self._bytes[starts[first] : end - 2]


class Texts:
    """The pools of one seed."""

    def __init__(self, seed: int) -> None:
        """Make the pools."""
        self.chance = random.Random(seed)  # noqa: S311 - a benchmark wants the same texts every time
        self.code = Pool(self.chance, _CODE)
        self.output = Pool(self.chance, _OUTPUT)
        self.prose = Pool(self.chance, _PROSE)
        self._names = [word.encode() for word in _WORDS.split()]
        self._base64 = base64.b64encode(self.chance.randbytes(POOL_BYTES))

    def signature(self, size: int) -> bytes:
        """Make a signature of the model's thinking: ``size`` characters of base64."""
        start = int(self.chance.random() * (len(self._base64) - size))
        return self._base64[start : start + size]

    def words(self) -> bytes:
        """Join two random words, as in a name."""
        return b"%b_%b" % (self.chance.choice(self._names), self.chance.choice(self._names))
