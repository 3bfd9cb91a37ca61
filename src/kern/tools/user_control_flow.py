"""A tool with which a model asks the user for values: what a form has fields for."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from kern.run.base import RunContext
from kern.run.pausing import ApprovalRequired
from kern.run.requirement import UserInputField
from kern.tools.toolkit import Toolkit
from kern.tools.user_feedback import answer_to

_INSTRUCTIONS = """\
Where you need something that only the user knows, call get_user_input: do not ask in your answer.
- Ask for all that you need in one call, a field for each value, and for nothing that you know.
- Go on with the values that it returns. Do not make up any."""


class AskedField(BaseModel):
    """A value that the user is to give."""

    field_name: str = Field(description="A name for the value, such as to_address.")
    field_type: str = Field("str", description="str, int, float, bool, list or dict.")
    field_description: str | None = Field(None, description="What the user is to give.")


class UserControlFlowTools(Toolkit):
    """Lets a model ask the user for values: its run pauses until a person has given them.

    They are what the model is told, as JSON: values by the names of the fields.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> asks = Reply.tool_calls(
        ...     ("get_user_input", {"user_input_fields": [{"field_name": "to_address"}]})
        ... )
        >>> model = ScriptedModel([asks, "It is sent."])
        >>> agent = Agent("Writer", model, tools=[UserControlFlowTools()])
        >>> run = agent.run("Write an e-mail for me.")
        >>> run.active_requirements[0].provide_user_input({"to_address": "ada@example.com"})
        >>> agent.continue_run(run).content
        'It is sent.'
    """

    def __init__(
        self,
        instructions: str | None = None,
        add_instructions: bool = True,
        enable_get_user_input: bool = True,
        all: bool = False,
        **rules: Any,
    ) -> None:
        """Prepare the tool.

        Args:
            instructions: what the model is told of it, in place of kern's own text.
            add_instructions: whether it is told so.
            enable_get_user_input: whether there is the tool.
            all: whether there is, whatever the others say.
            **rules: further keywords of :class:`~kern.tools.toolkit.Toolkit`.
        """
        super().__init__(
            "user_control_flow_tools",
            tools=[self.get_user_input] if all or enable_get_user_input else [],
            instructions=_INSTRUCTIONS if instructions is None else instructions,
            add_instructions=add_instructions,
            **rules,
        )

    async def get_user_input(
        self,
        user_input_fields: Annotated[list[AskedField], Field(min_length=1)],
        run_context: RunContext,
    ) -> str:
        """Ask the user for values, and wait for them.

        Args:
            user_input_fields: the values.
            run_context: that of the call.
        """
        if run_context.answers:
            return answer_to(run_context.answers[-1])
        fields = [
            UserInputField(each.field_name, each.field_type, each.field_description)
            for each in user_input_fields
        ]
        raise ApprovalRequired(fields=fields)
