"""Claude on Amazon Bedrock, over Anthropic's SDK.

Source: https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock
"""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from typing_extensions import override

from kern.errors import ModelError
from kern.extras import extra
from kern.models.anthropic import Claude as AnthropicClaude
from kern.models.anthropic.service import AnthropicService, Client


class _Service(AnthropicService):
    """The server of one model on Bedrock."""

    extra: ClassVar[str] = "bedrock"
    key_variables: ClassVar[tuple[str, ...]] = ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY")
    url_variable: ClassVar[str] = "ANTHROPIC_BEDROCK_MANTLE_BASE_URL"

    @override
    def _usual_address(self) -> str:
        environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = self._client_params.get("aws_region") or environment
        return f"https://bedrock-mantle.{region}.api.aws/anthropic"

    @override
    def _made(self, given: dict[str, Any]) -> Client:
        from anthropic import AsyncAnthropicBedrockMantle

        given.pop("auth_token")  # Bedrock knows keys only.
        client = AsyncAnthropicBedrockMantle(**given)
        if not client.api_key:
            with extra(self.extra):
                import_module("botocore.auth")  # The SDK does so where it signs.
        return client

    @override
    def _explained(self, error: Exception) -> ModelError:
        is_of_aws = type(error).__module__.startswith("botocore.")
        if is_of_aws or (isinstance(error, RuntimeError) and "credentials" in str(error)):
            text = (
                f"{self._model} cannot be asked with the credentials of AWS: "
                f"{str(error).rstrip('.')}. Check AWS_BEARER_TOKEN_BEDROCK, or what boto3 finds."
            )
            return ModelError(text, kind="authentication")
        return super()._explained(error)


class Claude(AnthropicClaude):
    """A Claude behind Bedrock's Messages API.

    Example:
        >>> Claude("anthropic.claude-sonnet-5-5", aws_region="eu-central-1").id
        'anthropic.claude-sonnet-5-5'
    """

    provider = "Bedrock"
    _service_class: ClassVar[type[AnthropicService]] = _Service

    def __init__(
        self,
        id: str = "anthropic.claude-sonnet-5-5",
        *,
        aws_region: str | None = None,
        aws_profile: str | None = None,
        aws_access_key: str | None = None,
        aws_secret_key: str | None = None,
        aws_session_token: str | None = None,
        client_params: Mapping[str, object] | None = None,
        **options: Any,
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Without a key of Bedrock (``api_key``, or what ``AWS_BEARER_TOKEN_BEDROCK`` holds) calls are
        signed with credentials of AWS: those given here, or those that boto3 finds.

        Args:
            id: the model's name, or that of an inference profile.
            aws_region: where; by default what ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` holds.
            aws_profile: the profile that has the credentials.
            aws_access_key: the access key, together with the next.
            aws_secret_key: the secret key.
            aws_session_token: the token of a session.
            client_params: more arguments of the SDK's client.
            options: see :class:`kern.models.anthropic.Claude`.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
            TypeError: there is no such option.
        """
        given = {
            "aws_region": aws_region,
            "aws_profile": aws_profile,
            "aws_access_key": aws_access_key,
            "aws_secret_key": aws_secret_key,
            "aws_session_token": aws_session_token,
        }
        aws = {name: value for name, value in given.items() if value is not None}
        super().__init__(id, client_params={**(client_params or {}), **aws}, **options)
