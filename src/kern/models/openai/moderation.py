"""OpenAI's moderation endpoint, which says what in a text or an image is objectionable."""

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from kern.errors import ModelError
from kern.models.openai.options import ClientOptions
from kern.models.openai.provider import OPENAI
from kern.models.openai.service import OpenAIService
from kern.models.retries import Retries

# How often a call is repeated: the answer is waited for.
_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the endpoint says of what it was sent.

    Attributes:
        flagged: whether it objects.
        categories: to what, as it names that, such as ``"self-harm/intent"``.
        scores: how sure it is of each category, from 0 to 1.
    """

    flagged: bool
    categories: tuple[str, ...]
    scores: dict[str, float]


class Moderations:
    """The endpoint, asked with a model of its own."""

    def __init__(self, model: str, options: ClientOptions) -> None:
        """Prepare, without opening anything.

        Args:
            model: the id of the model.
            options: how the server is reached.

        Raises:
            ConfigurationError: an option cannot be used.
        """
        self.model = model
        self._limit = options.get("max_retries", _RETRIES)
        self._service = OpenAIService(model, OPENAI, options, headers={}, query={})

    async def judge(self, input: object) -> Verdict:
        """Return what the endpoint says.

        Args:
            input: a text, or a list of parts in the API's form.

        Raises:
            ModelError: it refused, or did not answer.
        """
        body = msgspec.json.encode({"model": self.model, "input": input})
        retries = Retries(self._limit)
        while True:
            try:
                return self._read(await self._service.post("/moderations", body))
            except ModelError as error:
                await retries.wait(error)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._service.aclose()

    def _read(self, payload: object) -> Verdict:
        try:
            results = cast("Any", payload)["results"]
            found = [
                name for each in results for name, is_so in each["categories"].items() if is_so
            ]
            scores: dict[str, float] = {}
            for each in results:
                for name, score in each.get("category_scores", {}).items():
                    scores[name] = max(score, scores.get(name, 0.0))
            flagged = any(bool(each["flagged"]) for each in results)
        except (TypeError, KeyError, AttributeError) as error:
            text = f"{self.model} answered with something that is no moderation."
            raise ModelError(text, kind="malformed") from error
        return Verdict(flagged, (*dict.fromkeys(found),), scores)
