"""A corpus of made-up pi sessions: as many bytes as asked for, the same for the same seed.

    python -m benchmarks.corpus FOLDER --bytes 265MB [--files N] [--spread 1.1] [--seed 1] [--json]

The sizes of the files are log-normal with a median of 300 kB and a mean of 550 kB. `--files` sets their
number instead, and `--spread 0` makes them equal: `--bytes 1GB --files 100000 --spread 0` makes many small
files, `--bytes 200MB --files 1` one long session. FOLDER.json says afterwards what was written: bytes,
lines, sessions, calls and their cost.

The texts are calibrated on a real session (955 bytes a line): 53 escapes a kB, and non-ASCII characters in
4 % of the lines. Unlike in that session, thinking carries a few kB of base64 as its signature, as Claude's
does, and outputs are longer: 2.5 kB a line. `json.loads` reads the real session at 0.15 GB/s and these
files at 0.25 GB/s; a process that does nothing else takes 0.20 GB/s from start to finish. A session of 2.4
MB makes about 190 MB of `$ai_input` in the full context.
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
SPREAD = 1.1  # standard deviation of the logarithm of the files' sizes
FORKS = 0.06  # share of the sessions that are forks of an earlier one
PROJECTS = ("shop", "shop-api", "website", "infra", "notes", "compiler")
_BEGIN_MS = 1_740_000_000_000  # 2025-02-19
_PERIOD_MS = 400 * 86_400_000
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "B": 1}
_SOURCES = ("corpus.py", "corpus_session.py", "corpus_text.py")


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a corpus: bytes in all, number of files (None: as fits), spread of their sizes, seed."""

    bytes: int
    files: int | None = None
    spread: float = SPREAD
    seed: int = 1

    @property
    def count(self) -> int:
        """Number of files."""
        return self.files or max(1, round(self.bytes / MEAN_BYTES))

    @property
    def fingerprint(self) -> str:
        """A hash of the shape and of the code that makes the files."""
        here = Path(__file__).parent
        source = b"".join((here / name).read_bytes() for name in _SOURCES)
        return hashlib.sha256(source + repr(self).encode()).hexdigest()[:16]


def parse_size(text: str) -> int:
    """Parse a size such as ``265MB``, ``1.5GB`` or ``800`` into bytes.

    Raises:
        ValueError: the text is no size.
    """
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * factor)
    return int(text)


def generate(folder: Path, shape: Shape) -> Tally:
    """Write a corpus into an empty or missing folder, and its description beside it."""
    texts, tally = Texts(shape.seed), Tally()
    for project in PROJECTS:
        _project_folder(folder, project).mkdir(parents=True, exist_ok=True)
    weights = [math.exp(texts.chance.gauss(0.0, shape.spread)) for _ in range(shape.count)]
    left = sum(weights)
    parent: tuple[Session, Path] | None = None
    for number, weight in enumerate(weights):
        # A share of what is left: a session ends with an answer, so it becomes a little longer than asked.
        size = int((shape.bytes - tally.bytes) * weight / left)
        left -= weight
        parent = _write(folder, Session(texts, tally, number, _start_ms(number, shape.count)), size, parent)
    _description_path(folder).write_text(json.dumps({"fingerprint": shape.fingerprint} | asdict(tally)))
    return tally


def ensure_corpus(folder: Path, shape: Shape) -> Tally:
    """Generate a corpus in a folder unless it is there already; return what it holds."""
    try:
        description = json.loads(_description_path(folder).read_text())
    except FileNotFoundError:
        description = {"fingerprint": ""}
    if description.pop("fingerprint") == shape.fingerprint:
        return Tally(**description)
    _description_path(folder).unlink(missing_ok=True)
    for path in folder.glob("--home-dev-*--/*.jsonl"):
        path.unlink()  # of another shape, or of an interrupted run
    return generate(folder, shape)


def _write(
    folder: Path, session: Session, size: int, parent: tuple[Session, Path] | None
) -> tuple[Session, Path]:
    """Write one session of about ``size`` bytes; a few are forks of the session before."""
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
    path = _project_folder(folder, project) / _file_name(session)
    while not session.turns or session.size < size:
        session.run(size)
    path.write_bytes(b"".join(session.lines))
    # The cache trusts no file that was written just now.
    os.utime(path, (session.now_ms / 1000,) * 2)
    return session, path


def _file_name(session: Session) -> str:
    header = json.loads(session.lines[0])
    return f"{header['timestamp'].replace(':', '-').replace('.', '-')}_{header['id']}.jsonl"


def _project_folder(folder: Path, project: str) -> Path:
    return folder / f"--home-dev-{project}--"


def _description_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".json")


def _start_ms(number: int, count: int) -> int:
    return _BEGIN_MS + _PERIOD_MS * number // count + number % 997


def main() -> int:
    """Generate a corpus and print what was written."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=parse_size, default=parse_size("265MB"), help="such as 265MB, 1GB")
    parser.add_argument("--files", type=int)
    parser.add_argument("--spread", type=float, default=SPREAD, help="0 makes all files equal (default 1.1)")
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
