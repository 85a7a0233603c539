"""The house as docs/architecture.md draws it: who imports whom, how large a file and a room may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("importer", "parsers")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}
LEVELS = {
    "importer": (
        {"__init__", "__main__", "cli", "api"},
        {"commands"},
        {"screen"},
        {"cluster", "watch"},
        {"deliver"},
        {"plan"},
        {"build"},
        {"sessions"},
        {"ledger"},
        {
            "totals",
            "settings",
            "settings_values",
            "selection",
            "periods",
            "places",
            "files",
            "prices",
            "quoting",
            "errors",
            "exchange",
        },
    ),
    "parsers": (
        {"agents"},
        {"counting"},
        {"pi"},
        {"records", "identity", "usage", "times", "issues", "content"},
    ),
}
MOST_LINES = 300
MOST_FILES = 14


def imports(path: Path) -> Iterator[str]:
    """The modules of this project that a file imports anywhere, for types only included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES)


def level(module: str) -> tuple[int, str]:
    """How high a module's room stands, 0 for the lowest, and the room."""
    package, _, rest = module.partition(".")
    room = rest.split(".")[0] or "__init__"
    if room == "__init__" and package == "parsers":
        return -1, room
    (height,) = (number for number, rooms in enumerate(reversed(LEVELS[package])) if room in rooms)
    return height, room


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_goes_up_and_no_room_imports_its_neighbour(module):
    height, room = level(module)
    for imported in imports(MODULES[module]):
        if imported.split(".")[0] != module.split(".")[0]:
            assert module.startswith("importer"), f"parsers must not know of {imported}"
            continue
        if imported == "importer":
            continue  # the version, and public names in examples
        other, other_room = level(imported)
        is_lowest = height == 0 or height == len(LEVELS[module.split(".")[0]]) - 1
        assert other < height or (other == height and (room == other_room or is_lowest)), imported


def test_imports_have_no_circles():
    """Those inside of functions and for types included: a circle would show that a wall stands wrong."""
    graph = {name: {each for each in imports(path) if each != name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above[above.index(name) :], name))
        if name not in done:
            for each in sorted(graph.get(name, ())):
                visit(each, (*above, name))
            done.add(name)

    graph["importer"] = set()  # its imports are lazy, and its version is everybody's
    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_file_is_too_long(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in MODULES.values()}), ids=lambda each: each.name
)
def test_no_room_has_too_many_files(folder):
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


def test_no_two_classes_share_a_name():
    names: dict[str, str] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert names.setdefault(node.name, module) == module, node.name
