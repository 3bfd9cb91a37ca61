"""The files of a skill: which there are, and what is in one, without a way out of its folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from kern.errors import InvalidInputError

MAX_SKILL_FILE = 256 * 1024
"""The size of a SKILL.md in bytes, at most."""

MAX_TOLD = 100_000
"""How many characters of a file a model is told at once."""

MAX_FILES = 1000
"""How many files of a folder a model is told of."""


def files_in(skill: Path, name: str) -> tuple[str, ...]:
    """Return the paths of the files in a folder of a skill, in order.

    Links that lead out are left out, and so is what has a name that fits on no line.

    Args:
        skill: the folder of the skill.
        name: that of the folder in it, which may be missing.
    """
    folder = skill / name
    if not is_within(folder, skill):
        return ()
    found: list[str] = []
    for path in _walked(folder):
        found.append(path.relative_to(folder).as_posix())
        if len(found) == MAX_FILES:
            break
    return tuple(sorted(found))


def _walked(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    root = folder.resolve()
    for at, folders, names in os.walk(folder):  # It follows no links to folders.
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            is_told = not name.startswith(".") and str(path.relative_to(folder)).isprintable()
            if is_told and path.is_file() and path.resolve().is_relative_to(root):
                yield path


def is_within(path: Path, folder: Path) -> bool:
    """Say whether a path is in a folder once links are followed."""
    return path.resolve().is_relative_to(folder.resolve())


def path_in(skill: Path, given: str, known: tuple[str, ...], kind: str) -> Path:
    """Return a file of a skill that a model names.

    Args:
        skill: the folder of the skill.
        given: the path, from the folder of such files on; a model has written it.
        known: the paths that there are.
        kind: what such a file is called; its folder has that name in the plural.

    Raises:
        InvalidInputError: there is no such file; what is outside of the folder is none.
    """
    name = given.removeprefix(f"{kind}s/").removeprefix("./")
    folder = skill / f"{kind}s"
    path = folder / name
    # It is looked at again: the folder may have changed since it was listed.
    if name in known and path.is_file() and is_within(path, folder) and is_within(folder, skill):
        return path
    raise InvalidInputError(
        f"There is no {kind} {given[:200]!r}. There are: {', '.join(known) or 'none'}."
    )


def text_of(path: Path) -> str:
    """Return the text of a file, cut off where it is too long for a model.

    Args:
        path: the file.

    Raises:
        InvalidInputError: it is no text, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            read = file.read(MAX_TOLD * 4 + 1)
        is_whole = len(read) <= MAX_TOLD * 4
        text = read.decode("utf-8", errors="strict" if is_whole else "ignore")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name} cannot be read as text: {error}") from None
    if "\0" in text:
        raise InvalidInputError(f"{path.name} is no text.")
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]} […]"
