"""The skills of an agent."""

from typing import TYPE_CHECKING

from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.keywords import shown
from kern.tools import Tool

if TYPE_CHECKING:  # Who has no skills does not pay for their import.
    from kern.skills.skills import Skills


class SkillsPart(Part):
    """What the model can read up on, and do by scripts.

    Attributes:
        skills: the model is told their names, and reads them by the tools
            ``get_skill_instructions``, ``get_skill_reference`` and ``get_skill_script``.
    """

    skills: "Skills | None" = None

    session_tools: tuple[Tool, ...] = ()
    skill_tools: tuple[Tool, ...] = ()

    def _build(self) -> None:
        tools: tuple[Tool, ...] = ()
        if self.skills is not None:
            from kern.skills.skills import Skills

            given: object = self.skills
            if not isinstance(given, Skills):
                raise ConfigurationError(
                    f"skills must be Skills(loaders=[LocalSkills(path)]), not {shown(given)}."
                )
            tools = tuple(given.get_tools())
        others = (each for each in self.session_tools if each not in self.skill_tools)
        self.__dict__.update(skill_tools=tools, session_tools=(*others, *tools))
