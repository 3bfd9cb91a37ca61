"""Imports go down from room to room, never in a circle; see docs/explanation/architecture.md."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import kern

ROOT = Path(kern.__file__).parent

# From the ground up; a room imports itself and those of the floors below it.
FLOORS: list[set[str]] = [
    {"errors", "keywords", "utils"},
    {"exceptions", "extras", "failures", "aio", "filters", "reasoning"},
    {"binder", "run", "media", "local"},
    {"metrics", "models", "tools"},
    {"approval", "compression", "embedders", "memory", "session", "skills"},
    {"db"},
    {"hooks", "guardrails", "registry", "vectordb"},
    {"webhooks", "execution", "testing"},
    {"dispatch"},
    {"agent", "operations"},
    {"knowledge", "team"},
    {"telemetry", "server"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# The values of a run, and media as users have them, know of each other.
NEIGHBOURS = {"run", "media"}

# Paths that users know, and that only re-export.
KNOWN = {"kern", "kern.exceptions", "kern.run", "kern.run.cancel", "kern.utils.pprint"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Yield kern's modules that a module imports, also in functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if inner in MODULES else node.module


@cache
def imports() -> dict[str, set[str]]:
    """Return what each module imports."""
    return {
        name: {each for each in imported(path) if each not in {name, "kern"}}
        for name, path in MODULES.items()
        if name not in KNOWN
    }


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_no_module_imports_another_in_a_circle() -> None:
    TopologicalSorter(imports()).prepare()


def test_no_room_imports_one_that_is_not_below_it() -> None:
    upwards = [
        (name, each)
        for name, found in imports().items()
        for each in sorted(found)
        if room_of(name) != room_of(each)
        and FLOOR[room_of(each)] >= FLOOR[room_of(name)]
        and not {room_of(name), room_of(each)} <= NEIGHBOURS
    ]
    assert upwards == []


def test_every_file_is_in_the_table_of_rooms() -> None:
    page = (ROOT.parent.parent / "docs/explanation/architecture.md").read_text()
    table = page.partition("| --- | --- | --- |\n")[2].partition("\n\n")[0]
    named: dict[str, set[str]] = {}
    room = ""
    for line in table.splitlines():
        _, rooms, *cells = line.split("|")
        room = rooms.strip() or room
        for each in room.split(", "):
            found = named.setdefault(each, set())
            for name in re.findall(r"`([a-z_0-9/]+)`", "".join(cells)):
                found.update(name.split("/"))
    missing = []
    for file in ROOT.rglob("*.py"):
        room, *parts = file.relative_to(ROOT).with_suffix("").parts
        if parts and file.stem[0] != "_" and room not in named[""]:
            missing += [str(file)] if named.get(room, set()).isdisjoint(parts) else []
    assert missing == []
