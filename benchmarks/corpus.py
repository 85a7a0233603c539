"""Session files of pi to measure with: as many bytes as wanted, the same for the same seed.

    python -m benchmarks.corpus FOLDER --bytes 265MB [--files N] [--spread 1.1] [--seed 1] [--json]

The sizes of the files are log-normal with a median of 300 kB and a mean of 550 kB. `--files` sets how many
there are instead, `--spread 0` makes them all alike: `--bytes 1GB --files 100000 --spread 0` makes many small
ones, `--bytes 200MB --files 1` a single long session. What was written stands in FOLDER.json afterwards:
bytes, lines, sessions, calls and what they cost.

Calibrated on a real session of pi (955 bytes a line): as many escapes a kB (53), and about as many lines with
non-ASCII characters (4 %). Unlike there, thinking is signed with a few kB of base64, as Claude's is, and
outputs are longer: 2.5 kB a line. Where `json.loads` alone reads the real session at 0.15 GB/s, it reads
these files at 0.25 GB/s, and a process that does just that at 0.20 GB/s from start to finish. A session of
2.4 MB makes about 190 MB of `$ai_input` in the full context.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.corpus_session import Session, Tally
from benchmarks.corpus_text import Texts

MEAN_BYTES = 550_000
SPREAD = 1.1  # of the logarithm of the files' sizes
FORKS = 0.06  # of the sessions go on where an earlier one was
PROJECTS = ("shop", "shop-api", "website", "infra", "notes", "compiler")
_BEGIN_MS = 1_740_000_000_000  # 2025-02-19
_PERIOD_MS = 400 * 86_400_000
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "B": 1}
_SOURCES = ("corpus.py", "corpus_session.py", "corpus_text.py")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a corpus is like: bytes in all, how many files (None: as many as fit), how their sizes differ."""

    bytes: int
    files: int | None = None
    spread: float = SPREAD
    seed: int = 1

    @property
    def count(self) -> int:
        """How many files there will be."""
        return self.files or max(1, round(self.bytes / MEAN_BYTES))

    @property
    def fingerprint(self) -> str:
        """Changes with the shape, and with the code that makes the files."""
        here = Path(__file__).parent
        source = b"".join((here / name).read_bytes() for name in _SOURCES)
        return hashlib.sha256(source + repr(self).encode()).hexdigest()[:16]


def parse_size(text: str) -> int:
    """Bytes of a size such as ``265MB``, ``1.5GB`` or ``800``.

    Raises:
        ValueError: it is no such size.
    """
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * factor)
    return int(text)


def generate(folder: Path, shape: Shape) -> Tally:
    """Write the corpus into a folder that is empty or not there, and its description beside it."""
    texts, tally = Texts(shape.seed), Tally()
    for project in PROJECTS:
        _project(folder, project).mkdir(parents=True, exist_ok=True)
    weights = [math.exp(texts.chance.gauss(0.0, shape.spread)) for _ in range(shape.count)]
    left = sum(weights)
    parent: tuple[Session, Path] | None = None
    for number, weight in enumerate(weights):
        # Of what is left: a session ends with an answer, so it is a little longer than it was to be.
        size = int((shape.bytes - tally.bytes) * weight / left)
        left -= weight
        parent = _write(folder, Session(texts, tally, number, _start_ms(number, shape.count)), size, parent)
    _describe(folder).write_text(json.dumps({"fingerprint": shape.fingerprint} | asdict(tally)))
    return tally


def kept(folder: Path, shape: Shape) -> Tally:
    """The corpus in a folder, which is generated unless it is there already."""
    try:
        description = json.loads(_describe(folder).read_text())
    except FileNotFoundError:
        description = {"fingerprint": ""}
    if description.pop("fingerprint") == shape.fingerprint:
        return Tally(**description)
    _describe(folder).unlink(missing_ok=True)
    for path in folder.glob("--home-dev-*--/*.jsonl"):
        path.unlink()  # of another shape, or of a generator that was interrupted
    return generate(folder, shape)


def _write(
    folder: Path, session: Session, size: int, parent: tuple[Session, Path] | None
) -> tuple[Session, Path]:
    """Write one session of about so many bytes; a few are forks of the one before."""
    random = session.texts.chance.random
    project = PROJECTS[int(random() ** 2 * len(PROJECTS))]
    forks = random() < FORKS
    if forks and parent and len(parent[0].turns) > 1 and parent[0].size < size:
        session.now_ms = parent[0].now_ms + 60_000
        session.begin(f"/home/dev/{project}", f"/home/dev/.pi/agent/sessions/{parent[1].relative_to(folder)}")
        session.copy(parent[0])
    else:
        session.begin(f"/home/dev/{project}")
        session.open()
    path = _project(folder, project) / _name(session)
    while not session.turns or session.size < size:
        session.run(size)
    path.write_bytes(b"".join(session.lines))
    # A file that was written just now may be written again, so nobody would trust what they remember of it.
    os.utime(path, (session.now_ms / 1000,) * 2)
    return session, path


def _name(session: Session) -> str:
    header = json.loads(session.lines[0])
    return f"{header['timestamp'].replace(':', '-').replace('.', '-')}_{header['id']}.jsonl"


def _project(folder: Path, project: str) -> Path:
    return folder / f"--home-dev-{project}--"


def _describe(folder: Path) -> Path:
    return folder.with_name(folder.name + ".json")


def _start_ms(number: int, count: int) -> int:
    return _BEGIN_MS + _PERIOD_MS * number // count + number % 997


def main() -> int:
    """Generate, and say what was written."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=parse_size, default=parse_size("265MB"), help="such as 265MB, 1GB")
    parser.add_argument("--files", type=int)
    parser.add_argument("--spread", type=float, default=SPREAD, help="0: all files alike (1.1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.folder.exists() and any(asked.folder.iterdir()):
        parser.error(f"{asked.folder} is not empty")
    tally = generate(asked.folder, Shape(asked.bytes, asked.files, asked.spread, asked.seed))
    if asked.json:
        print(json.dumps(asdict(tally), indent=2))  # noqa: T201
    else:
        print(  # noqa: T201
            f"{tally.bytes:,} bytes, {tally.lines:,} lines of {tally.bytes // tally.lines:,} bytes, "
            f"{tally.sessions:,} sessions, {tally.generations:,} calls for ${tally.cost_usd:,.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
