"""Where skills come from."""

from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path

from typing_extensions import override

from kern.errors import ConfigurationError
from kern.keywords import public
from kern.skills.files import MAX_SKILL_FILE, files_in, is_within
from kern.skills.skill import SKILL_FILE, Skill, skill_of


class SkillLoader(ABC):
    """Where skills come from. A subclass says it in :meth:`load`.

    Example:
        >>> class Fixed(SkillLoader):
        ...     def load(self):
        ...         return [Skill("polite", "How we write.", "Greet first.")]
        >>> [each.name for each in Fixed().load()]
        ['polite']
    """

    @abstractmethod
    def load(self) -> list[Skill]:
        """Return the skills.

        Raises:
            ConfigurationError: one cannot be used.
        """


@public
class LocalSkills(SkillLoader):
    r"""Skills in folders of this machine: each has a ``SKILL.md``, and may have files beside it.

    Attributes:
        path: a folder of such folders, or one of them.
        validate: whether they have to follow the format to the letter.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     skill = Path(folder, "refunds")
        ...     skill.mkdir()
        ...     text = "---\nname: refunds\ndescription: For refunds.\n---\nLook first."
        ...     _ = (skill / "SKILL.md").write_text(text)
        ...     [each.instructions for each in LocalSkills(folder).load()]
        ['Look first.']
    """

    def __init__(self, path: str | PathLike[str], validate: bool = True) -> None:
        """Remember the folder; it is read when the skills are.

        Args:
            path: a folder of folders with a ``SKILL.md`` each, or one of these.
            validate: False to take what does not follow the format to the letter.
        """
        self.path: Path = Path(path)
        self.validate = validate

    @override
    def load(self) -> list[Skill]:
        """Return the skills, by the order of their folders' names.

        Raises:
            ConfigurationError: there is no such folder, or a skill in it cannot be used.
        """
        if not self.path.is_dir():
            raise ConfigurationError(f"There is no folder {self.path} with skills.")
        if (self.path / SKILL_FILE).is_file():
            return [self._load(self.path.absolute())]
        folders = sorted(each for each in self.path.absolute().iterdir() if each.is_dir())
        found = [each for each in folders if (each / SKILL_FILE).is_file()]
        if not found:
            raise ConfigurationError(
                f"The folder {self.path} has no skills: a skill is a folder with a {SKILL_FILE}."
            )
        return [self._load(each) for each in found]

    def _load(self, folder: Path) -> Skill:
        file = folder / SKILL_FILE
        if not is_within(file, folder):
            raise ConfigurationError(f"{file} is a link that leads out of the skill's folder.")
        try:
            with file.open("rb") as opened:
                read = opened.read(MAX_SKILL_FILE + 1)
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be read: {error}") from error
        if len(read) > MAX_SKILL_FILE:
            raise ConfigurationError(
                f"{file} is larger than {MAX_SKILL_FILE // 1024} KiB. Put what is not always "
                "needed into files of its folder references."
            )
        try:
            text = read.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{file} is no text in UTF-8: {error}") from error
        return skill_of(
            text,
            folder,
            references=files_in(folder, "references"),
            scripts=files_in(folder, "scripts"),
            validate=self.validate,
        )
