"""Teams: agents that lead others, each of whose tasks is a run of its own."""

from kern.team.members import Mode
from kern.team.team import Team

__all__ = ["Mode", "Team"]
