"""Generated from ``kern/team/responses.py`` by ``scripts/generate_sync.py``."""

from kern.agent.blocking import blocking
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.team.responses import MemberResponses


class SyncMemberResponses(MemberResponses[Deps, Output]):
    """The methods of :class:`MemberResponses`, for code without an event loop."""

    def get_member_responses(self, run: RunOutput[Output]) -> list[RunOutput]:
        """Return the runs of the members in a run of the team, in the order of their tasks.

        Args:
            run: the team's run.

        Raises:
            ConfigurationError: the team has no db, so that they are kept nowhere.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.aget_member_responses(...)").call(
            self.aget_member_responses(run)
        )
