"""Servers that speak one of OpenAI's protocols at an address of their own."""

from typing import ClassVar, Literal

from typing_extensions import Unpack

from kern.errors import ConfigurationError
from kern.models.openai.chat.api import ChatApi
from kern.models.openai.model import OpenAIModel
from kern.models.openai.options import ChatOptions, ResponsesOptions, check_names
from kern.models.openai.provider import Provider
from kern.models.openai.responses.api import ResponsesApi


class LikeOptions(ChatOptions, ResponsesOptions, total=False):
    """What a server may know: each protocol has its own, see the two classes."""


class OpenAILike(OpenAIModel):
    """A model behind a server that speaks Chat Completions, or the Responses API.

    A preset is a subclass that says who serves it.

    Attributes:
        at: who serves it.
        default_id: the model that is asked without an id; None where one must be chosen.

    Example:
        >>> model = OpenAILike("qwen3", base_url="http://localhost:8000/v1")
        >>> class Groq(OpenAILike):
        ...     at = Provider("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY")
    """

    at: ClassVar[Provider] = Provider("OpenAILike", needs_key=False)
    default_id: ClassVar[str | None] = None

    def __init__(
        self,
        id: str | None = None,
        *,
        api: Literal["chat", "responses"] = "chat",
        **options: Unpack[LikeOptions],
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name at the server; by default the preset's.
            api: the protocol.
            options: see :class:`ChatOptions` or :class:`ResponsesOptions`. Without an ``api_key``
                OpenAI's own is not sent: there is none, or the variable of the preset has it.

        Raises:
            ConfigurationError: there is no model, or a parameter is given twice, or kern sets it
                itself.
            TypeError: the protocol has no such option.
        """
        id = id or self.default_id
        if not id:
            name = type(self).__name__
            raise ConfigurationError(
                f"{name} needs the id of a model, as its server has it: {name}('qwen3')."
            )
        protocol: ChatApi | ResponsesApi
        if api == "chat":
            check_names(self, options, ChatOptions)
            protocol = ChatApi(options)
        elif api == "responses":
            check_names(self, options, ResponsesOptions)
            protocol = ResponsesApi(options)
        else:
            raise ConfigurationError(f"api must be 'chat' or 'responses', not {api!r}.")
        super().__init__(id, protocol, protocol.params, options)
