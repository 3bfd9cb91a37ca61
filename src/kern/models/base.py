"""What kern needs of a model: the port behind which the providers stand."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self, TypeAlias

from kern.keywords import Recorded
from kern.models.prices import Price
from kern.run.message import Message, Metrics
from kern.run.tool import ToolSchema

FinishReason: TypeAlias = Literal[
    "stop", "tool_calls", "refusal", "length", "content_filter", "other"
]
"""Why a model ended its answer. Of an answer that was cut off kern's own models make an error."""

ToolChoice: TypeAlias = str | Mapping[str, object]
"""``"none"``, ``"auto"`` or ``"required"``; or the name of the tool that a model has to call; or
what a provider takes, in its own form."""


OutputMode: TypeAlias = Literal["native", "json", "tool"]
"""How a model is brought to a form: by its provider, by JSON mode and words, or by a tool."""


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The form that an answer must have.

    Attributes:
        name: what the form is called.
        schema: the form, as a JSON Schema.
        strict: whether the provider holds the model to it, where it can.
        mode: how the model is brought to it; None for its provider's own way.
    """

    name: str
    schema: Mapping[str, object]
    strict: bool = True
    mode: OutputMode | None = None

    @property
    def is_native(self) -> bool:
        """Whether the provider is told of the schema as the form of its answer."""
        return self.mode in (None, "native")


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How an answer is to be made, in words for all providers; None for what the model says.

    They win over the model's own parameters, and the settings of a request over both. A model
    leaves out what its provider does not know.

    Attributes:
        max_output_tokens: tokens of the answer at most, with its reasoning.
        reasoning_effort: how long the model thinks; see :data:`kern.run.overrides.EFFORTS`.
        temperature: the sampling temperature.
        top_p: the share of probability to sample from.
    """

    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        messages: the conversation.
        tools: what the model may call.
        handle: where the provider keeps answers, the one that an earlier attempt asked for and
            this one is to pick up.
        tool_choice: whether the model is to call tools; by default the provider decides. Without
            tools nothing is said of it.
        output_schema: the form that the answer must have, or None for a text.
        settings: parameters of this call, by the provider's names; they win over the model's own.
        memo: what models keep from one call of a run to the next, each under its provider's name,
            such as the messages in the form in which they are sent.
        session_id: the conversation; requests that go on from one another have the same one.
        options: how the answer is to be made, where this call says so.

    Example:
        >>> from kern.testing import ScriptedModel
        >>> model = ScriptedModel(["Hello."])
        >>> from kern.agent import Agent
        >>> _ = Agent("Greeter", model, instructions="Be polite.").run("Hi")
        >>> [message.role for message in model.requests[0].messages]
        ['system', 'user']
    """

    messages: Sequence[Message]
    tools: Sequence[ToolSchema] = ()
    handle: str | None = None
    tool_choice: ToolChoice | None = None
    output_schema: OutputSchema | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    memo: dict[str, object] = field(default_factory=dict, repr=False, compare=False)
    session_id: str | None = None
    options: CallOptions | None = None


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What a model answered to one call.

    Attributes:
        message: the assistant's message, with what the provider needs to go on from it.
        metrics: what the call used.
        finish_reason: why the answer ended.
        model: the model that answered, as the provider names it, or None where it does not say.
        id: the provider's id of the answer, or None where it has none.

    Example:
        >>> ModelResponse(Message("assistant", "Hi."), Metrics(output_tokens=2)).finish_reason
        'stop'
    """

    message: Message
    metrics: Metrics
    finish_reason: FinishReason = "stop"
    model: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text.

    Example:
        >>> "".join(piece.text for piece in [Text("Hel"), Text("lo.")])
        'Hello.'
    """

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model says of how it comes to its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of the arguments of a tool call.

    Attributes:
        index: which of the answer's calls it belongs to, from 0 on.
        id: the provider's id of the call, in its first piece.
        name: the tool's name, in its first piece.
        text: a piece of the JSON; may be empty.
    """

    index: int
    id: str | None
    name: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of the answer as sound.

    Attributes:
        data: the sound, in the format that was asked for.
        transcript: what is said in it, as far as it is known.
    """

    data: bytes
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """The provider keeps the answer, and will go on with it though nobody waits.

    The model goes on once the next piece is asked for, so who has stored the handle by then loses
    no answer.

    Attributes:
        handle: what a later request picks the answer up with, see :class:`ModelRequest`.
    """

    handle: str


Piece: TypeAlias = Text | Reasoning | CallArguments | Audio | Kept | ModelResponse
"""What comes out of a model's stream; the response is the last piece, and comes once."""


class Model(Recorded, ABC):
    """A model at a provider. One object serves all runs of all agents and event loops.

    Attributes:
        id: the model's name at the provider.
        name: what its kind is called, by default its class.
        provider: the provider's name.
        keeps_answers: whether the provider goes on with an answer nobody waits for. Its handle
            comes out of :meth:`stream` only.
        response_cache: where its answers are kept on this machine, or None for nowhere.
        price: what it costs; None for what genai-prices says.
        supports_native_structured_outputs: whether the provider takes a JSON Schema as the form
            of its answer.
        delay_between_retries: the seconds before a call is repeated, where the provider asks for
            none; None for kern's own.
        exponential_backoff: whether each of these pauses is twice as long as the one before; by
            default only kern's own are.

    Example:
        >>> class Echo(Model):
        ...     id, provider = "echo", "none"
        ...
        ...     async def respond(self, request):
        ...         answer = Message("assistant", request.messages[-1].text)
        ...         return ModelResponse(answer, Metrics(model_calls=1))
        ...
        ...     async def stream(self, request):
        ...         response = await self.respond(request)
        ...         yield Text(response.message.text)
        ...         yield response
    """

    id: str
    name: str
    provider: str
    keeps_answers: bool = False
    response_cache: "AnswerCache | None" = None
    price: Price | None = None
    supports_native_structured_outputs: bool = True
    delay_between_retries: float | None = None
    exponential_backoff: bool | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__dict__.get("name", cls.__name__)

    def output_mode(self, request: ModelRequest) -> OutputMode:
        """Return how the model is best brought to the form that a request has."""
        if self.supports_native_structured_outputs:
            return "native"
        return "tool" if request.tools else "json"

    @property
    def origin(self) -> str:
        """Who answers; handles and items of an answer mean nothing to any other."""
        return f"{self.provider} {self.id}"

    @property
    def server_address(self) -> str | None:
        """Its server by host, port and path, with nothing secret; None where it has none."""
        return None

    async def prepare(self) -> None:  # most have nothing to load
        """Load what the first call needs, before others have to wait for it.

        Raises:
            ConfigurationError: no call can succeed in this process, and why.
        """

    @abstractmethod
    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer a conversation.

        Cancelling the call closes the connection to the provider.

        Raises:
            ModelError: there was no usable answer.
        """

    @abstractmethod
    def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Answer a conversation piece by piece, and end with the whole response.

        Raises:
            ModelError: there was no usable answer; its ``content`` is the text until then. Where
                it is transient, the same request may be made again, from the first piece on.
        """

    async def cancel(self, handle: str) -> None:  # most providers keep no answers
        """Have the provider stop an answer that it keeps, as far as it can."""

    async def aclose(self) -> None:  # not every model keeps connections
        """Close the connections of the running event loop; the next call opens others.

        They are closed with the event loop anyway, and where the model is not used any more. A
        call that is under way fails.
        """

    def close(self) -> None:  # not every model keeps connections
        """Close the connections that synchronous code, or a loop in another thread, has opened.

        Raises:
            ConfigurationError: it was called on an event loop that uses the model: await
                :meth:`aclose` there.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AnswerCache(Protocol):
    """Where answers are kept, such as :class:`kern.models.cache.ResponseCache`."""

    def before(self, model: Model) -> Model:
        """Return a model that gives kept answers of this one, and asks it for all others."""
