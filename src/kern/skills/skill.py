"""A skill: what its SKILL.md says, and the files beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kern.errors import ConfigurationError

SKILL_FILE = "SKILL.md"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)(.*)\Z", re.DOTALL | re.MULTILINE)

# How many lists and mappings may be within each other.
_DEEPEST = 10

# What the format of skills allows, in characters.
_LONGEST = {"name": 64, "description": 1024, "compatibility": 500}


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill: instructions for tasks of a kind, with references and scripts.

    Attributes:
        name: what it is called.
        description: what it is for, and when it is of use; the model is always told.
        instructions: what the model reads once it uses the skill.
        folder: where its files are.
        references: the paths of its references, from the folder ``references`` on.
        scripts: the paths of its scripts, from the folder ``scripts`` on.
        license: under which it may be used.
        compatibility: what it needs.
        allowed_tools: the tools that it uses, by its author; nothing follows from it.
        metadata: what else its author says.

    Example:
        >>> Skill("refunds", "How refunds are made.", "Look the order up first.").name
        'refunds'
    """

    name: str
    description: str
    instructions: str
    folder: Path | None = None
    references: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    license: str | None = None
    compatibility: str | None = None
    allowed_tools: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


def skill_of(
    text: str,
    folder: Path,
    *,
    references: tuple[str, ...] = (),
    scripts: tuple[str, ...] = (),
    validate: bool = True,
) -> Skill:
    """Return the skill that a SKILL.md describes.

    Args:
        text: the file's text.
        folder: where it is.
        references: the paths of its references.
        scripts: the paths of its scripts.
        validate: whether it has to follow the format to the letter.

    Raises:
        ConfigurationError: it has no front matter, or does not follow the format.
    """
    where = folder / SKILL_FILE
    found = _FRONT.match(text)
    if found is None:
        raise ConfigurationError(
            f"{where} has no front matter: begin it with a line ---, the lines name: and "
            "description:, and another line ---."
        )
    values = _values(found[1], where)
    if validate:
        _check(values, folder, where)
    return Skill(
        str(values.get("name") or folder.name),
        str(values.get("description") or ""),
        found[2].strip(),
        folder,
        references,
        scripts,
        _text(values.get("license")),
        _text(values.get("compatibility")),
        _names(values.get("allowed-tools")),
        metadata if isinstance(metadata := values.get("metadata"), dict) else {},
    )


def _values(front: str, where: Path) -> dict[str, object]:
    """Return what the front matter says: every value in it that is no list or mapping is a text."""
    import yaml

    try:
        _check_size(front)
        values: object = yaml.load(front, yaml.BaseLoader)
    except yaml.YAMLError as error:
        told = str(error).replace("\n", " ")
        raise ConfigurationError(f"The front matter of {where} is no YAML: {told}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"The front matter of {where} must be lines such as name: a.")
    return {str(key): value for key, value in values.items()}


def _check_size(front: str) -> None:
    """Check that a front matter stands for no more than it seems to: aliases can, without end.

    Raises:
        YAMLError: it may, or it is no YAML.
    """
    import yaml

    depth = 0
    for each in yaml.parse(front):
        depth += isinstance(each, yaml.CollectionStartEvent)
        depth -= isinstance(each, yaml.CollectionEndEvent)
        if depth > _DEEPEST or isinstance(each, yaml.AliasEvent):
            raise yaml.YAMLError(
                f"it has aliases (*), or lists within lists, {_DEEPEST} at most; write it plainly"
            )


def _check(values: Mapping[str, object], folder: Path, where: Path) -> None:
    for key, longest in _LONGEST.items():
        value = values.get(key)
        if value is None and key == "compatibility":
            continue
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise ConfigurationError(
                f"{where}: {key} must be a text of 1 to {longest} characters. "
                "LocalSkills(validate=False) takes it as it is."
            )
    name = values["name"]
    if not _NAME.fullmatch(str(name)) or name != folder.name:
        raise ConfigurationError(
            f"{where}: name must be that of its folder, {folder.name!r}, of lower-case letters, "
            f"digits and single dashes, not {name!r}. LocalSkills(validate=False) takes it as it "
            "is."
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _names(value: object) -> tuple[str, ...]:
    """Return the names in a list, or in a text with spaces or commas between them."""
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(map(str, value)) if isinstance(value, list) else ()
