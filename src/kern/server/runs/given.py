"""What clients give: the bodies of requests, as they are documented and checked."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, JsonValue

from kern.agent.options import Input as AgentInput
from kern.run.usage import UsageLimits
from kern.server.runs.documented import Body


def _within(moment: datetime) -> datetime:
    if not 1970 < moment.year < 9999:  # Databases and clocks count no further.
        raise ValueError("must lie in the years 1971 to 9998")
    return moment


Moment: TypeAlias = Annotated[AwareDatetime, AfterValidator(_within)]
"""A moment with a time zone."""

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An id, or a name."""

SessionId: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$")
]
"""The id of a session, which is found by its path."""

Values: TypeAlias = dict[str, Any]
"""A JSON object."""


class TextPart(Body):
    """A piece of a message's text."""

    type: Literal["text", "input_text", "output_text"]
    text: str


class ImageUrl(Body):
    """Where an image is, as Chat Completions has it."""

    url: str = Field(description="An URL that the model's provider fetches, or a `data:` URL.")
    detail: str | None = None


class ImagePart(Body):
    """An image."""

    type: Literal["input_image", "image_url"]
    image_url: str | ImageUrl
    detail: str | None = None


class AudioData(Body):
    """A recording, in base64."""

    data: str
    format: str


class AudioPart(Body):
    """A recording."""

    type: Literal["input_audio"]
    input_audio: AudioData


class FilePart(Body):
    """A document: `file_data`, a `data:` URL, or `file_url`, which the provider fetches."""

    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


Part: TypeAlias = Annotated[
    TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")
]


class GivenMessage(Body):
    """A message."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]


Input: TypeAlias = str | list[GivenMessage] | Values
"""What a run is given: a text, messages, or the values that its agent's `input_schema` says."""


def input_of(given: Input) -> AgentInput:
    """Return what a client gives a run, as agents take it."""
    if isinstance(given, list):
        return [each.model_dump(exclude_none=True) for each in given]
    return given


_INPUT = Field(
    description="A text; messages, whose content is a text or parts as OpenAI's APIs have them; "
    "or an object, where the agent takes one.",
    examples=["Research the market for heat pumps."],
)

METADATA = Field(description="JSON values to keep with the run.", examples=[{"team": "research"}])


class Usage(Body):
    """How much a run may use, beside what its agent allows; then it ends in ERROR."""

    requests: int | None = Field(None, ge=1, le=2**31, description="Model calls.")
    tool_calls: int | None = Field(None, ge=1, le=2**31)
    input_tokens: int | None = Field(None, ge=1, le=2**53)
    output_tokens: int | None = Field(None, ge=1, le=2**53)
    total_tokens: int | None = Field(None, ge=1, le=2**53)
    cost: float | None = Field(None, gt=0, le=1e9, description="US dollars.")

    def limits(self) -> UsageLimits:
        """Return it as kern has it."""
        return UsageLimits(**self.model_dump())


class NewRun(Body):
    """A run to submit: it is durable once it is accepted, and executes in the background."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent": "researcher",
                    "input": "Research the market for heat pumps.",
                    "session_id": "heat-pumps",
                    "metadata": {"team": "research"},
                }
            ]
        }
    )

    agent: Id = Field(description="The agent's id.")
    input: Annotated[Input, _INPUT]
    session_id: SessionId | None = Field(
        None, description="The conversation; by default a new one."
    )
    metadata: Annotated[Values, METADATA] | None = None
    live: bool = Field(
        False,
        description="Whether its text is streamed from the model as it comes, for who reads its "
        "events; else a reader may get the text of a call under way as a whole.",
    )
    timeout: float | None = Field(
        None, gt=0, le=1e9, description="Seconds after its start; at most what the agent says."
    )
    usage_limits: Usage | None = None
    priority: int = Field(
        0,
        ge=-(2**31) + 1,
        lt=2**31,
        description="Of the runs that are due those of the highest priority begin first. One "
        "above 0 needs the scope admin.",
    )
    run_at: Moment | None = Field(None, description="The moment before which it does not begin.")
    max_attempts: int | None = Field(
        None, ge=1, lt=2**31, description="How many may fail; at most what the agent says."
    )
    session_policy: Literal["queue", "reject", "interrupt", "parallel"] | None = Field(
        None,
        description="What becomes of it where its session has another run: `queue`, it waits; "
        "`reject`, it is refused (409); `interrupt`, the other is cancelled; `parallel`, neither "
        "waits.",
    )
    webhook: str | None = Field(
        None, max_length=2048, description="An URL that is sent the run's end."
    )
    output_schema: Values | None = Field(
        None, description="What it answers, as a JSON Schema; by default as the agent says."
    )
    session_state: Values | None = Field(
        None, description="State that it begins with, over that of the session and the agent."
    )


class Answer(Body):
    """The answer to a requirement: exactly one of `confirmed`, `values` and `result`."""

    id: Id = Field(description="The requirement's id.", examples=["0199…/1/0"])
    confirmed: bool | None = Field(None, description="Whether the call may be made.")
    arguments: Values | None = Field(
        None, description="With `confirmed: true`: all arguments, in place of the model's."
    )
    note: str | None = Field(None, description="With `confirmed: false`: what the model is told.")
    values: Values | None = Field(
        None, description="What was asked for, by the names of the arguments, or the questions."
    )
    result: JsonValue = Field(None, description="What a call has returned that was made elsewhere.")


class Continuation(Body):
    """How a run goes on that waits for a person, or that has failed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"requirements": [{"id": "0199…/1/0", "confirmed": True}]}]}
    )

    requirements: list[Answer] = Field(
        [], max_length=1000, description="The answers; those that are missing it waits for again."
    )
    input: Annotated[Input, _INPUT] | None = Field(
        None, description="What the user says beside it, after the results of the calls."
    )
    metadata: Annotated[Values, METADATA] | None = None


class Fork(Body):
    """How much of a run another begins with, and what it is told."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": "And in Norway?"}]})

    input: Annotated[Input, _INPUT] | None = None
    continue_from: Literal["end", "last_user"] | Annotated[int, Field(ge=0, lt=2**31)] | None = (
        Field(
            None,
            description="How many of the messages: `end` for all, `last_user` for those up to the "
            "user's last one, or a number. By default `end`.",
        )
    )
    from_seq: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="The steps up to the event of this number; what comes after them is done anew.",
    )
    session_id: SessionId | None = Field(
        None, description="The conversation; by default that of the run."
    )
    metadata: Annotated[Values, METADATA] | None = None


class Regeneration(Body):
    """How a run is answered once more."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"additional_instructions": "Be brief."}]}
    )

    additional_instructions: str | None = Field(
        None, min_length=1, description="What the user says of the new answer."
    )
    replace_original: bool = Field(
        True, description="Whether the run is REGENERATED from then on, and no part of the history."
    )
    metadata: Annotated[Values, METADATA] | None = None


class Decision(Body):
    """What a person decides of an approval. Who that is says the key or token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "approved"}]})

    status: Literal["approved", "rejected"]
    note: str | None = Field(None, description="With a rejection: what the model is told of it.")
    arguments: Values | None = Field(
        None, description="All arguments of the call, in place of the model's."
    )
    values: Values | None = Field(None, description="What was asked for, where that is input.")
    result: JsonValue = Field(None, description="What a call has returned that was made elsewhere.")

    def data(self) -> dict[str, Any]:
        """Return what is given beside the status."""
        return self.model_dump(exclude={"status"}, exclude_none=True)


class Rename(Body):
    """What is changed of a session."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Heat pumps"}]})

    name: Id = Field(description="Its name.")
