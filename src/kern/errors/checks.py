"""What answers and inputs do not fit."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from kern.errors.base import KernError


class OutputSchemaError(KernError):
    """An answer does not have the form that it must have, though the model was asked again.

    Attributes:
        content: the answer, or None where the run failed elsewhere: there its content is it.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Counter", ScriptedModel(["three", "four"]), output_schema=list[int])
        >>> try:
        ...     agent.run("Count.")
        ... except OutputSchemaError as error:
        ...     print(error.run_output.content)
        four
    """

    def __init__(self, message: str, *, content: str | None = None) -> None:
        super().__init__(message)
        self.content = content


class CheckTrigger(StrEnum):
    """Why a check refuses what went into a run, or came out of it.

    Example:
        >>> CheckTrigger("pii_detected") is CheckTrigger.PII_DETECTED
        True
    """

    OFF_TOPIC = "off_topic"
    INPUT_NOT_ALLOWED = "input_not_allowed"
    OUTPUT_NOT_ALLOWED = "output_not_allowed"
    VALIDATION_FAILED = "validation_failed"
    PROMPT_INJECTION = "prompt_injection"
    PII_DETECTED = "pii_detected"


class CheckError(KernError):
    """A hook or guardrail refuses what went into a run, or came out of it: the run ends in ERROR.

    Attributes:
        check_trigger: why; a text of one's own where none of :class:`CheckTrigger` fits.
        additional_data: what else is to be known of it, JSON values, or None.
        error_id: the trigger as a text.
        type: what kind of error it is, as a text.

    Example:
        >>> error = InputCheckError("No homework, please.", CheckTrigger.OFF_TOPIC)
        >>> error.error_id, error.type
        ('off_topic', 'input_check_error')
    """

    type: ClassVar[str] = "check_error"
    _default: ClassVar[CheckTrigger] = CheckTrigger.VALIDATION_FAILED

    def __init__(
        self,
        message: str,
        check_trigger: CheckTrigger | str | None = None,
        additional_data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        trigger = self._default if check_trigger is None else check_trigger
        known = CheckTrigger.__members__.values()
        self.check_trigger = next((each for each in known if each == trigger), trigger)
        self.additional_data = None if additional_data is None else dict(additional_data)

    @property
    def error_id(self) -> str:
        """The trigger as a text."""
        return str(self.check_trigger)


class InputCheckError(CheckError):
    """A hook or guardrail refuses a run's input.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> def no_homework(run_input):
        ...     if "homework" in run_input.input_content:
        ...         raise InputCheckError("No homework, please.", CheckTrigger.OFF_TOPIC)
        >>> agent = Agent("Tutor", ScriptedModel(), pre_hooks=[no_homework])
        >>> agent.run("Do my homework.")
        Traceback (most recent call last):
        kern.errors.checks.InputCheckError: No homework, please.
    """

    type = "input_check_error"
    _default = CheckTrigger.INPUT_NOT_ALLOWED


class OutputCheckError(CheckError):
    """A hook or guardrail refuses what a run has answered; the answer is no content of the run.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> def no_shouting(run_output):
        ...     if run_output.content.isupper():
        ...         raise OutputCheckError("The answer is too loud.")
        >>> agent = Agent("Crier", ScriptedModel(["HEAR YE!"]), post_hooks=[no_shouting])
        >>> agent.run("What is new?")
        Traceback (most recent call last):
        kern.errors.checks.OutputCheckError: The answer is too loud.
    """

    type = "output_check_error"
    _default = CheckTrigger.OUTPUT_NOT_ALLOWED
