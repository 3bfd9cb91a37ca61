"""What the members of a team have answered, once its run has ended."""

from kern.agent.definition import AgentDefinition, runtime_of
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps


class MemberResponses(AgentDefinition[Deps, Output]):
    """What a team can say of the runs of its members."""

    async def aget_member_responses(self, run: RunOutput[Output]) -> list[RunOutput]:
        """Return the runs of the members in a run of the team, in the order of their tasks.

        Args:
            run: the team's run.

        Raises:
            ConfigurationError: the team has no db, so that they are kept nowhere.
            DatabaseError: they could not be read.
        """
        ids = [each.child_run_id for each in run.tools if each.child_run_id is not None]
        store = (await runtime_of(self, "What members have answered")).store
        found = {each.run_id: each for each in await store.sessions.records(ids)}
        return [RunOutput.from_record(found[each]) for each in ids if each in found]
