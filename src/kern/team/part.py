"""The keywords of a team beside those of an agent."""

from collections.abc import Callable, Mapping, Sequence

from typing_extensions import override

from kern.agent.as_tool import SubAgent
from kern.agent.checks import check_flag
from kern.agent.definition import PARTS
from kern.agent.keywords import AgentOptions
from kern.agent.parts.part import Part
from kern.agent.parts.tools import ToolsPart
from kern.binder import Binder, is_portable, name_of
from kern.errors import ConfigurationError, ToolsetError, described
from kern.run.base import RUN_VALUES, RunInfo
from kern.run.numbers import check_count
from kern.team.delegating import DelegateTool
from kern.team.members import Delegation, Mode, members_by_id
from kern.tools import Tool, Toolset


class TeamOptions(AgentOptions, total=False):
    """The keywords of :class:`kern.team.Team`, but for those that say its types."""

    mode: Mode
    respond_directly: bool
    determine_input_for_members: bool
    share_member_interactions: bool
    add_team_history_to_members: bool
    num_team_history_runs: int
    add_member_tools_to_context: bool
    show_members_responses: bool
    callable_members_cache_key: object | None


class MembersPart(ToolsPart):
    """Whom a team has, and how its leader hands work on.

    Attributes:
        members: agents and teams, each with a name; or a function of the run that returns them,
            which is called for each attempt.
        mode: ``"coordinate"``: the leader gives members tasks, as often as it wants to and several
            at once, and answers itself. ``"route"``: it chooses one member, whose answer is the
            run's.
        respond_directly: True is ``mode="route"``.
        determine_input_for_members: False to give members the input of the run as it is, in the
            place of a task that the leader writes.
        share_member_interactions: tell a member what others were given before in the run, and what
            they have answered.
        add_team_history_to_members: tell members what the team was asked before in the session,
            and what it has answered.
        num_team_history_runs: of how many runs.
        add_member_tools_to_context: tell the leader the names of its members' tools.
        show_members_responses: have ``print_response`` show what members have answered, too.
        callable_members_cache_key: changes nothing: a function of members is called for each run.
    """

    members: Sequence[SubAgent] | Callable[..., object] = ()
    mode: Mode = "coordinate"
    respond_directly: bool = False
    determine_input_for_members: bool = True
    share_member_interactions: bool = False
    add_team_history_to_members: bool = False
    num_team_history_runs: int = 3
    add_member_tools_to_context: bool = False
    show_members_responses: bool = False
    callable_members_cache_key: object | None = None

    @override
    def _build(self) -> None:
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        check_count("num_team_history_runs", self.num_team_history_runs, ConfigurationError)
        if self.mode not in ("coordinate", "route"):
            raise ConfigurationError(
                f"mode must be 'coordinate' or 'route', not {self.mode!r:.50}. A leader that "
                "coordinates may give all members a task in one answer; they work side by side."
            )
        rules = Delegation(
            self.mode == "route" or self.respond_directly,
            self.determine_input_for_members,
            self.share_member_interactions,
            self.num_team_history_runs if self.add_team_history_to_members else 0,
            self.add_member_tools_to_context,
        )
        given: object = self.members
        one: Tool | Toolset
        if callable(given):
            one = Members(
                Binder(given, RUN_VALUES, what=f"The function of members {name_of(given)}"), rules
            )
        else:
            one = DelegateTool(members_by_id(given), rules)
        self.__dict__.update(delegation=(one,), shows_children=self.show_members_responses)
        ToolsPart._build(self)


class Members(Toolset):
    """The members that a function names for each run."""

    def __init__(self, function: Binder, rules: Delegation) -> None:
        """Ask ``function``.

        Args:
            function: returns the members.
            rules: how they are given work.
        """
        self._function, self._rules = function, rules
        self.asks_for: frozenset[str] = function.names

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the function holds nothing of a caller."""
        return is_portable(self._function.function)

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        return await self.tools_for(run, {})

    @override
    async def tools_for(self, run: RunInfo, values: Mapping[str, object]) -> Sequence[Tool]:
        name = name_of(self._function.function)
        try:
            members = members_by_id(await self._function.call(values), f"What {name} returns")
        except (Exception, SystemExit) as error:
            raise ToolsetError(
                f"The function of members {name} failed: {described(error)}"
            ) from error
        return [DelegateTool(members, self._rules)]


_FLAGS = (
    *("respond_directly", "determine_input_for_members", "share_member_interactions"),
    *("add_team_history_to_members", "add_member_tools_to_context", "show_members_responses"),
)

TEAM_PARTS: tuple[type[Part], ...] = tuple(
    MembersPart if each is ToolsPart else each for each in PARTS
)
