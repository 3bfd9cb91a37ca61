"""Objectionable content, as OpenAI's moderation endpoint sees it."""

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from typing_extensions import override

from kern.aio.threads import call_in_thread
from kern.errors import CheckTrigger, ConfigurationError, InputCheckError
from kern.guardrails.base import BaseGuardrail
from kern.media import Image
from kern.run.given import RunInput

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from kern.models.openai.options import ClientOptions


class OpenAIModerationGuardrail(BaseGuardrail):
    """Refuses what OpenAI's moderation endpoint objects to, in the text and in its images.

    A check takes a request. Where the endpoint cannot be asked, the check has failed, which a run
    survives as with every other hook: a warning in the log, and it goes on unchecked. With
    ``required`` the text is refused then.

    Attributes:
        moderation_model: the model that is asked.
        raise_for_categories: what is refused; None for whatever the endpoint flags.
        required: whether what could not be checked is refused.

    Example:
        >>> from kern import Agent
        >>> guardrail = OpenAIModerationGuardrail(raise_for_categories=["violence"])
        >>> agent = Agent("Helper", "openai:gpt-5.4-mini", pre_hooks=[guardrail])
    """

    def __init__(
        self,
        moderation_model: str = "omni-moderation-latest",
        raise_for_categories: Sequence[str] | None = None,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        client: "AsyncOpenAI | None" = None,
        timeout: float = 30.0,
        required: bool = False,
    ) -> None:
        """Say what is refused; nothing is opened.

        Args:
            moderation_model: the model that is asked.
            raise_for_categories: refuse these only, such as ``["violence", "self-harm/intent"]``;
                by default whatever the endpoint flags.
            api_key: the key; by default what ``OPENAI_API_KEY`` holds at the first check.
            base_url: the server; by default OpenAI's, or what ``OPENAI_BASE_URL`` holds.
            client: a client of the SDK to use in place of one of ours.
            timeout: seconds that a request may take.
            required: refuse what could not be checked, with the trigger ``VALIDATION_FAILED``.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        # Every agent knows guardrails; few know OpenAI.
        from kern.models.openai.moderation import Moderations

        if isinstance(raise_for_categories, str):
            raise ConfigurationError("raise_for_categories must be a list, not one text.")
        self.moderation_model = moderation_model
        self.raise_for_categories = raise_for_categories
        self.required = required
        options: ClientOptions = {"api_key": api_key, "base_url": base_url, "timeout": timeout}
        if client is not None:
            options["client"] = client
        self._moderations = Moderations(moderation_model, options)

    @override
    def check(self, run_input: RunInput) -> None:
        """Refuse a text; for code without an event loop. See :meth:`async_check`."""
        from kern.aio.portal import portal

        portal().call(self.async_check(run_input))

    @override
    async def async_check(self, run_input: RunInput) -> None:
        """Refuse a text, or an image beside it, to which the endpoint objects.

        Raises:
            InputCheckError: it does; ``additional_data`` has the ``"categories"`` and
                ``"category_scores"``.
            ModelError: the endpoint could not be asked.
        """
        try:
            for each in await _inputs(run_input):
                await self._judge(each)
        except InputCheckError:
            raise
        except Exception as error:
            if not self.required:
                raise
            raise InputCheckError(
                f"The text could not be checked, so it is refused: {error}",
                CheckTrigger.VALIDATION_FAILED,
            ) from error

    async def _judge(self, input: object) -> None:
        verdict = await self._moderations.judge(input)
        found = list(verdict.categories)
        if self.raise_for_categories is None:
            is_refused = verdict.flagged
        else:
            wanted = set(map(_plain, self.raise_for_categories))
            found = [each for each in found if _plain(each) in wanted]
            is_refused = bool(found)
        if is_refused:
            raise InputCheckError(
                f"The provider's moderation objects: {', '.join(found) or 'it says not to what'}.",
                CheckTrigger.INPUT_NOT_ALLOWED,
                {
                    "categories": found,
                    "category_scores": {each: verdict.scores.get(each) for each in found},
                },
            )


async def _inputs(run_input: RunInput) -> list[object]:
    """Return what the endpoint is asked: the text, and each image, which it takes one at a time."""
    inputs: list[object] = []
    if text := run_input.input_content_string().strip():
        inputs.append(text)
    for image in run_input.images:
        url = image.url or await call_in_thread(partial(_data_url, image))
        inputs.append([{"type": "image_url", "image_url": {"url": url}}])
    return inputs


def _data_url(image: Image) -> str:
    return f"data:{image.mime_type or 'image/png'};base64,{image.to_base64()}"


def _plain(category: str) -> str:
    """Return a category as it is compared: the SDK names ``self-harm/intent`` differently."""
    return re.sub(r"[^a-z]", "", category.lower())
