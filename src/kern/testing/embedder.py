"""An embedder that needs no model: texts that have words in common lie near each other."""

import math
import re
from collections.abc import Sequence
from hashlib import blake2s

from typing_extensions import override

from kern.embedders.base import Embedder

_WORD = re.compile(r"\w+")


class WordsEmbedder(Embedder):
    """Embeds a text by its words, the same in every process.

    Attributes:
        id: says so.
        dimensions: how many numbers an embedding has.
        calls: the texts of each call, in order.

    Example:
        >>> embedder = WordsEmbedder()
        >>> heat, pumps, sun = embedder.embed(["warm heat", "heat pumps", "solar cells"])
        >>> near = sum(a * b for a, b in zip(heat, pumps))
        >>> far = sum(a * b for a, b in zip(heat, sun))
        >>> near > far
        True
    """

    def __init__(self, dimensions: int = 64) -> None:
        """Prepare.

        Args:
            dimensions: how many numbers an embedding has.
        """
        self.id = f"words-{dimensions}"
        self.dimensions = self._size = dimensions
        self.calls: list[list[str]] = []

    @override
    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append([*texts])
        return [self._embedding(text) for text in texts]

    def _embedding(self, text: str) -> list[float]:
        sums = [0.0] * self._size
        for word in _WORD.findall(text.lower()) or [""]:
            number = int.from_bytes(blake2s(word.encode("utf-8", "replace")).digest()[:8])
            sums[number // 2 % self._size] += 1.0 if number % 2 else -1.0
        length = math.hypot(*sums)
        return [each / length for each in sums] if length else [1.0, *sums[1:]]
