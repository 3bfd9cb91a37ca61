"""The team: an agent that leads others."""

from collections.abc import Callable, Mapping, Sequence
from inspect import cleandoc
from typing import ClassVar, overload

from typing_extensions import TypeForm, Unpack, override

from kern.agent.agent import Agent
from kern.agent.as_tool import SubAgent
from kern.agent.definition import PART_OF
from kern.agent.parts.context import ContextPart
from kern.agent.parts.identity import IdentityPart
from kern.agent.parts.part import Part
from kern.keywords import public, spelled
from kern.models.base import Model
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.team.part import TEAM_PARTS, MembersPart, TeamOptions
from kern.team.sync import SyncMemberResponses


@public
class Team(MembersPart, SyncMemberResponses[Deps, Output], Agent[Deps, Output]):
    """An agent that leads others: its model gives its members tasks, each of which is a run.

    A team is an agent, with all its methods, and goes wherever one does: into ``kern worker`` and
    ``kern serve``, into another team, or as a tool. What its members do are children of its run:
    each is begun once for a call, whatever happens to processes, shares the state of the session,
    is cancelled with the team's run, and where it waits for a person, so does that.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> task = {"member_id": "meteorologist", "task": "The wind off Skagen tomorrow?"}
        >>> calls = Reply.tool_calls(("delegate_task_to_member", task))
        >>> meteorologist = Agent("Meteorologist", ScriptedModel(["A gale."]))
        >>> leader = ScriptedModel([calls, "Stay at home."])
        >>> team = Team([meteorologist], "Harbour office", leader)
        >>> run = team.run("Can we sail tomorrow?")
        >>> run.content, run.tools[0].result
        ('Stay at home.', 'A gale.')
    """

    is_team = True
    component_type = "team"
    name: str = "Team"

    _all_parts: ClassVar[tuple[type[Part], ...]] = TEAM_PARTS
    _always: ClassVar[tuple[type[Part], ...]] = (IdentityPart, ContextPart, MembersPart)
    _part_of: ClassVar[Mapping[str, type[Part]]] = {
        **{name: MembersPart if part not in TEAM_PARTS else part for name, part in PART_OF.items()},
        **dict.fromkeys(MembersPart.__annotations__, MembersPart),
    }

    @overload
    def __init__(
        self,
        members: Sequence[SubAgent] | Callable[..., object] = (),
        name: str | None = None,
        model: Model | str | None = None,
        *,
        output_schema: Mapping[str, object] | None = None,
        dependencies: Deps | None = None,
        **options: Unpack[TeamOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        members: Sequence[SubAgent] | Callable[..., object] = (),
        name: str | None = None,
        model: Model | str | None = None,
        *,
        output_schema: TypeForm[Output],
        dependencies: Deps | None = None,
        **options: Unpack[TeamOptions],
    ) -> None: ...

    def __init__(
        self,
        members: Sequence[SubAgent] | Callable[..., object] = (),
        name: str | None = None,
        model: Model | str | None = None,
        **options: object,
    ) -> None:
        """Define the team; nothing is opened or started.

        Each keyword is an attribute, too.

        Args:
            members: agents and teams, or a function of the run that returns them.
            name: what people call it.
            model: who leads: a model, or a text such as ``"openai:gpt-5.4"``; by default
                ``OpenAIResponses()``.
            options: those of :class:`kern.agent.Agent`, and those that follow.

        Raises:
            ConfigurationError: a keyword cannot be used.
            InvalidInputError: a limit is no number above 0, or there is no such policy.
            TypeError: there is no such keyword.
        """
        self._define(name, model, {**options, "members": members})

    @override
    def _typed(self, output: RunOutput) -> RunOutput[Output]:
        if output.agent_id == self.id and output.team_id is None:
            output.team_id = self.id
        return super()._typed(output)


spelled(
    Team.__init__,
    {
        **TeamOptions.__annotations__,
        "output_schema": object,
        "dependencies": Mapping,
    },
    lambda name: getattr(Team, name, None),
)

Team.__init__.__doc__ = "\n\n".join(
    [
        cleandoc(Team.__init__.__doc__ or ""),
        cleandoc(MembersPart.__doc__ or "").replace("Attributes:", "Keywords:"),
    ]
)
