"""OpenAI's Chat Completions API, over the official SDK."""

from typing_extensions import Unpack

from kern.models.openai.chat.api import ChatApi
from kern.models.openai.model import OpenAIModel
from kern.models.openai.options import ChatOptions, check_names


class OpenAIChat(OpenAIModel):
    """A model behind OpenAI's Chat Completions API.

    Example:
        >>> OpenAIChat("gpt-5.4-mini", seed=7)
        OpenAIChat('gpt-5.4-mini')
    """

    def __init__(self, id: str = "gpt-5.4-mini", **options: Unpack[ChatOptions]) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            options: see :class:`ChatOptions`, and what that class builds on.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself.
            TypeError: there is no such option.
        """
        check_names(self, options, ChatOptions)
        api = ChatApi(options)
        super().__init__(id, api, api.params, options)
