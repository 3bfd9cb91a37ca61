"""A tool with which a model asks the user questions, with answers to choose from."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from kern.run.base import RunContext
from kern.run.codec import dump
from kern.run.requirement import (
    CallPaused,
    RunRequirement,
    UserFeedbackOption,
    UserFeedbackQuestion,
)
from kern.tools.toolkit import Toolkit

_INSTRUCTIONS = """\
Where you need the user to choose, call ask_user: do not write the question into your answer.
- Ask all that you need to know in one call, each question with two to four answers to choose from.
- Give each question a header of a word or two, and each answer a short label.
- Set multi_select where several answers may be true at once."""


class AskUserOption(BaseModel):
    """An answer to choose from."""

    label: str = Field(description="The answer, in a few words.")
    description: str | None = Field(None, description="What choosing it means.")


class AskUserQuestion(BaseModel):
    """A question to the user."""

    question: str = Field(description="The question, a whole sentence.")
    header: str | None = Field(None, description="A word or two that say what it is about.")
    options: list[AskUserOption] | None = Field(None, description="The answers to choose from.")
    multi_select: bool = Field(False, description="Whether several answers may be chosen.")


class UserFeedbackTools(Toolkit):
    """Lets a model ask the user: its run pauses until a person has chosen.

    The answers are what the model is told, as JSON: labels by the text of the question.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> question = {"question": "Where do you want to go?", "options": [{"label": "The sea"}]}
        >>> asks = Reply.tool_calls(("ask_user", {"questions": [question]}))
        >>> model = ScriptedModel([asks, "A week at the sea, then."])
        >>> agent = Agent("Planner", model, tools=[UserFeedbackTools()])
        >>> run = agent.run("Plan my holiday.")
        >>> requirement = run.active_requirements[0]
        >>> requirement.user_feedback_schema[0].question
        'Where do you want to go?'
        >>> requirement.provide_user_feedback({"Where do you want to go?": ["The sea"]})
        >>> agent.continue_run(run).content
        'A week at the sea, then.'
    """

    def __init__(
        self,
        instructions: str | None = None,
        add_instructions: bool = True,
        enable_ask_user: bool = True,
        all: bool = False,
        **rules: Any,
    ) -> None:
        """Prepare the tool.

        Args:
            instructions: what the model is told of it, in place of kern's own text.
            add_instructions: whether it is told so.
            enable_ask_user: whether there is the tool.
            all: whether there is, whatever the others say.
            **rules: further keywords of :class:`~kern.tools.toolkit.Toolkit`.
        """
        super().__init__(
            "user_feedback_tools",
            tools=[self.ask_user] if all or enable_ask_user else [],
            instructions=_INSTRUCTIONS if instructions is None else instructions,
            add_instructions=add_instructions,
            **rules,
        )

    async def ask_user(
        self,
        questions: Annotated[list[AskUserQuestion], Field(min_length=1)],
        run_context: RunContext,
    ) -> str:
        """Ask the user questions, and wait for the answers.

        Args:
            questions: the questions.
            run_context: that of the call.
        """
        if run_context.answers:
            return answer_to(run_context.answers[-1])
        asked = [_asked(each) for each in questions]
        requirement = RunRequirement("", "user_feedback", user_feedback_schema=asked, passes=True)
        raise CallPaused([requirement])


def answer_to(requirement: RunRequirement) -> str:
    """Return what a model is told of what a person has answered."""
    if requirement.confirmation is False:
        note = requirement.confirmation_note
        return f"The user did not answer{f': {note}' if note else '.'}"
    if requirement.external_execution_result is not None:
        return requirement.external_execution_result
    return dump(requirement.values)


def _asked(each: AskUserQuestion) -> UserFeedbackQuestion:
    options = [
        UserFeedbackOption(option.label, option.description) for option in each.options or ()
    ]
    return UserFeedbackQuestion(each.question, each.header, options, each.multi_select)
