"""Who serves models in OpenAI's protocols, and where."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A company or program that serves models.

    Attributes:
        name: what it is called.
        base_url: its server; empty where each user has one of their own.
        key_variable: the environment variable that holds the key, or None.
        url_variable: the environment variable that holds another server, or None.
        url_scheme: what is put before the address in that variable where it has no scheme.
        url_path: what is put behind it.
        needs_key: whether it asks for a key.
        has_json_schema: whether it takes a JSON Schema as the form of an answer.

    Example:
        >>> from kern.models.openai import OpenAILike
        >>> class Acme(OpenAILike):
        ...     at = Provider("Acme", "https://models.example.com/v1", "ACME_API_KEY")
        >>> Acme("rocket-1", api_key="...").server_address
        'models.example.com/v1'
    """

    name: str
    base_url: str = ""
    key_variable: str | None = None
    url_variable: str | None = None
    url_scheme: str = ""
    url_path: str = ""
    needs_key: bool = True
    has_json_schema: bool = True

    def address(self) -> str:
        """Return the server, as the environment says it now; empty where nothing does."""
        given = os.environ.get(self.url_variable) if self.url_variable else None
        if not given:
            return self.base_url
        scheme = "" if "://" in given else self.url_scheme
        return f"{scheme}{given.rstrip('/').removesuffix(self.url_path)}{self.url_path}"

    def key(self) -> str | None:
        """Return the key, as the environment says it now; a stand-in where none is needed."""
        given = os.environ.get(self.key_variable) if self.key_variable else None
        return given or (None if self.needs_key else "none")

    @property
    def address_hint(self) -> str:
        """What a user has to look at where the address is wrong."""
        return "base_url" if self.url_variable is None else f"base_url and {self.url_variable}"


OPENAI = Provider("OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL")
"""OpenAI itself."""
