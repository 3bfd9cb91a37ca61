"""What every embedder answers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

from kern.embedders.answers import embeddings_of, numbers_of


class EmbedderMethods(ABC):
    """What turns texts into vectors."""

    dimensions: int | None

    @abstractmethod
    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the embeddings of texts that are to be found.

        Args:
            texts: any number of texts; they are sent in batches.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """

    async def aget_embedding(self, text: str) -> list[float]:
        """Return the embedding of a text that is looked for.

        Args:
            text: what is looked for.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """
        made = embeddings_of(await self.aembed([text]), 1, type(self).__name__)
        return cast("list[float]", made[0])

    async def aget_dimensions(self) -> int:
        """Return how many numbers an embedding has; where nobody has said so, a word is embedded.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """
        if self.dimensions is None:
            made = await self.aget_embedding("word")
            self.dimensions = len(numbers_of(made, type(self).__name__))
        return self.dimensions
