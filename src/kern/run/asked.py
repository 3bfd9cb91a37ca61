"""What a person is asked: arguments of a call, and questions."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class UserInputField:
    """One argument of a call, which the model or a person gives.

    Attributes:
        name: the argument.
        field_type: its type, as people write it, such as ``"str"``.
        description: what it is, where the tool says that.
        value: what the model has given, or a person: set it to answer. None where nobody has.
        required: whether it has to be given.

    Example:
        >>> to = UserInputField("to", "str")
        >>> to.value = "ada@example.com"
    """

    name: str
    field_type: str = "str"
    description: str | None = None
    value: Any = None
    required: bool = True


@dataclass(slots=True)
class UserFeedbackOption:
    """One answer that a person may choose.

    Attributes:
        label: the answer.
        description: what it means.
        selected: whether it was chosen.

    Example:
        >>> UserFeedbackOption("Window", description="With a view.").selected
        False
    """

    label: str
    description: str | None = None
    selected: bool = False


@dataclass(slots=True)
class UserFeedbackQuestion:
    """A question to a person, with the answers to choose from.

    Attributes:
        question: the question.
        header: a word or two above it.
        options: the answers to choose from.
        multi_select: whether several may be chosen.
        selected_options: the labels that were chosen; None where nobody has.

    Example:
        >>> options = [UserFeedbackOption("Aisle"), UserFeedbackOption("Window")]
        >>> question = UserFeedbackQuestion("Which seat?", options=options)
        >>> [option.label for option in question.options]
        ['Aisle', 'Window']
    """

    question: str
    header: str | None = None
    options: list[UserFeedbackOption] = field(default_factory=list)
    multi_select: bool = False
    selected_options: list[str] | None = None
