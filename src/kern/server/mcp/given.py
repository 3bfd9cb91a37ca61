"""What clients give the tools: their arguments, as they are described and checked."""

from typing import Annotated, Any

from pydantic import Field, ValidationError

from kern.errors import InvalidInputError
from kern.server.mcp.settings import LONGEST_WAIT
from kern.server.runs.documented import Body
from kern.server.runs.given import Answer, Id, SessionId


class Task(Body):
    """What an agent is to do."""

    input: str = Field(min_length=1, description="What it is to do, with all that it has to know.")
    session_id: SessionId | None = Field(
        None,
        description="A name of your choice for the conversation, to go on with it by the same "
        "name in a later call. Without it nothing of this call is remembered.",
    )


class RunNamed(Body):
    """Which run is meant."""

    run_id: Id = Field(description="The run, as the receipt names it.")


class RunAsked(RunNamed):
    """Which run is asked for, and how long its end may be waited for."""

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] | None = Field(
        None,
        description="Seconds to wait for its end, if it is still at work; 0 to look at once. By "
        "default as long as the call of an agent waits.",
    )


class Answered(Answer):
    """The answer to something that a run waits for."""

    run_id: Id = Field(description="The run that waits.")

    def answer(self) -> Answer:
        """Return the answer alone."""
        return Answer.model_validate(self.model_dump(exclude={"run_id"}, exclude_none=True))


def read(kind: type[Any], arguments: dict[str, Any] | None) -> Any:
    """Return the arguments of a call.

    Args:
        kind: what they are: a :class:`~kern.server.runs.documented.Body`.
        arguments: as the client has sent them.

    Raises:
        InvalidInputError: they do not fit; the text is for the model.
    """
    try:
        return kind.model_validate(arguments or {})
    except ValidationError as error:
        raise InvalidInputError(unfit(error)) from None


def unfit(error: ValidationError) -> str:
    """Return in a line what does not fit of some arguments."""
    found = [
        (".".join(map(str, each["loc"])), each["msg"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "; ".join(f"{name:.100}: {what}" for name, what in found[:5])


def schema_of(kind: type[Body]) -> dict[str, Any]:
    """Return the JSON Schema of arguments, without what only names its parts."""
    schema = kind.model_json_schema()
    for name in ("title", "description"):
        schema.pop(name, None)
    for each in schema["properties"].values():
        each.pop("title", None)
    return schema
