"""What a run waits for, as its caller sees it."""

from kern.run.requirement import RunRequirement
from kern.run.status import RunStatus
from kern.run.tool import ToolExecution


class Required:
    """The part of :class:`~kern.run.output.RunOutput` that is read from what it waits for.

    Attributes:
        status: where the run is.
        requirements: what it waits for, where the status is PAUSED.
        tools: the tools that it called, in the order in which they were asked for.
    """

    __slots__ = ()

    status: RunStatus
    requirements: list[RunRequirement]
    tools: list[ToolExecution]

    @property
    def active_requirements(self) -> list[RunRequirement]:
        """The requirements that nobody has answered yet."""
        return [each for each in self.requirements if not each.is_resolved()]

    @property
    def tools_requiring_confirmation(self) -> list[ToolExecution]:
        """The calls that a person has yet to allow or reject."""
        return [each.tool_execution for each in self.requirements if each.needs_confirmation]

    @property
    def tools_requiring_user_input(self) -> list[ToolExecution]:
        """The calls of whose arguments a person has yet to give some."""
        waiting = [each.tool_execution for each in self.active_requirements]
        return [each for each in waiting if each.requires_user_input]

    @property
    def tools_awaiting_external_execution(self) -> list[ToolExecution]:
        """The calls that are made elsewhere, and have no result yet."""
        waiting = [each.tool_execution for each in self.active_requirements]
        return [each for each in waiting if each.external_execution_required]

    @property
    def client_calls(self) -> list[ToolExecution]:
        """The calls of its client's tools with which it ended; a later run begins with the results.

        See :class:`~kern.run.overrides.Overrides`.
        """
        has_answered = self.status in (RunStatus.completed, RunStatus.regenerated)
        return [each for each in self.tools if each.result is None] if has_answered else []
