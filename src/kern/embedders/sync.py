"""Generated from ``kern/embedders/methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Sequence

from kern.aio.portal import finished
from kern.embedders.methods import EmbedderMethods


class SyncEmbedderMethods(EmbedderMethods):
    """The methods of :class:`EmbedderMethods`, for code without an event loop."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the embeddings of texts that are to be found.

        Args:
            texts: any number of texts; they are sent in batches.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """
        return finished(self.aembed(texts))

    def get_embedding(self, text: str) -> list[float]:
        """Return the embedding of a text that is looked for.

        Args:
            text: what is looked for.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """
        return finished(self.aget_embedding(text))

    def get_dimensions(self) -> int:
        """Return how many numbers an embedding has; where nobody has said so, a word is embedded.

        Raises:
            ModelError: the provider refused, or did not answer.
            ConfigurationError: it is not set up.
        """
        return finished(self.aget_dimensions())
