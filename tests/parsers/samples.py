"""The recorded sessions, as bytes."""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "sample_sessions"
SAMPLES = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in sorted(FOLDER.rglob("*.jsonl"))}
