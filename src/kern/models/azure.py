"""OpenAI's models on Azure."""

from typing import ClassVar

from kern.models.openai.like import OpenAILike
from kern.models.openai.provider import Provider


class AzureOpenAI(OpenAILike):
    """A deployment on Azure, which the id names.

    The resource is what ``AZURE_OPENAI_ENDPOINT`` holds; ``base_url`` ends with ``/openai/v1``.

    Example:
        >>> AzureOpenAI("my-deployment", base_url="https://acme.openai.azure.com/openai/v1").server_address
        'acme.openai.azure.com/openai/v1'
    """

    at: ClassVar[Provider] = Provider(
        "Azure",
        key_variable="AZURE_OPENAI_API_KEY",
        url_variable="AZURE_OPENAI_ENDPOINT",
        url_scheme="https://",
        url_path="/openai/v1",
    )
    default_id: ClassVar[str | None] = "gpt-5.4-mini"
