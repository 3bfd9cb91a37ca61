"""Skills: folders with instructions and files that a model reads when it needs them."""

from kern.skills.loaders import LocalSkills, SkillLoader
from kern.skills.skill import Skill
from kern.skills.skills import Skills

__all__ = ["LocalSkills", "Skill", "SkillLoader", "Skills"]
