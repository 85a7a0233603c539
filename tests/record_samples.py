"""Record `sample_sessions/` again, with the real agents: `python -m tests.record_samples`."""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.agent.install import VERSIONS, Agent, install
from tests.agent.mock_model import SCRIPT_ENDED, MockModel
from tests.agent.sandbox import Sandbox
from tests.agent.stage import Stage
from tests.agent.stories import STORIES, stories_of


def record(version: str, story: str, out: Path) -> dict[str, dict[str, Any]]:
    """Play one story with one agent; write its sessions under `out`; return pi's totals by relative path."""
    agent = install(version)
    with MockModel() as model, Sandbox(model.base_url, model.api_key) as sandbox:
        stage = Stage(agent, model, sandbox)
        STORIES[story](stage)
        written = sandbox.session_files()
        _check(f"{story} on {version}", stage, written)
        folder = out / version / story
        folder.mkdir(parents=True)
        for path in written:
            (folder / path.name).write_bytes(scrub(path.read_bytes(), sandbox, agent))
        return {f"{version}/{story}/{path.name}": stage.stats[path] for path in written}


def _check(what: str, stage: Stage, written: list[Path]) -> None:
    if stage.model.script:
        raise RuntimeError(f"{what}: {len(stage.model.script)} answers were never asked for")
    if any(SCRIPT_ENDED.encode() in path.read_bytes() for path in written):
        raise RuntimeError(f"{what}: more answers were asked for than the script holds")
    if set(written) != set(stage.stats):
        raise RuntimeError(f"{what}: wrote {sorted(written)}, pi was asked about {sorted(stage.stats)}")


def scrub(raw: bytes, sandbox: Sandbox, agent: Agent) -> bytes:
    """Give the recording machine's folders the same names everywhere; all other bytes stay."""
    encoded = re.sub(r"[/\\:]", "-", str(sandbox.root).lstrip("/"))
    for found, named in (
        (f"--{encoded}-home", "--home"),
        (str(sandbox.root), ""),
        (str(agent.folder), "/opt/pi"),
        (str(agent.node.parent), "/opt/node/bin"),
    ):
        raw = raw.replace(found.encode(), named.encode())
    return raw


def main() -> None:
    """Record every story with every agent and replace the output folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("sample_sessions"))
    parser.add_argument("--story", choices=STORIES, action="append", help="only these; the rest stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stats: dict[str, dict[str, Any]] = {}
        for version in VERSIONS:
            for story in chosen.story or stories_of(version):
                stats |= record(version, story, Path(scratch))
                print(f"{version} {story}", file=sys.stderr)
        # Only now, so that a failed recording leaves the old samples alone.
        _replace(Path(scratch), chosen.out, stats)


def _replace(fresh: Path, out: Path, stats: dict[str, dict[str, Any]]) -> None:
    index = out / "stats.json"
    kept = json.loads(index.read_text()) if index.exists() else {}
    told = {name.rpartition("/")[0] for name in stats}
    for story in told:
        shutil.rmtree(out / story, ignore_errors=True)
    shutil.copytree(fresh, out, dirs_exist_ok=True)
    kept = {name: said for name, said in kept.items() if name.rpartition("/")[0] not in told}
    index.write_text(json.dumps(kept | stats, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
