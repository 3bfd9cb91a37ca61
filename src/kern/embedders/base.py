"""The port behind which embedders stand."""

from kern.embedders.sync import SyncEmbedderMethods


class Embedder(SyncEmbedderMethods):
    """What turns texts into vectors.

    Each method is there twice: ``aembed`` for code on an event loop, ``embed`` for other code. An
    embedder of your own is a subclass with the first.

    Attributes:
        id: names the model; embeddings of two models are not comparable.
        dimensions: how many numbers an embedding has; None until the first one has told.

    Example:
        >>> class Lengths(Embedder):
        ...     id = "lengths"
        ...     dimensions = 2
        ...     async def aembed(self, texts):
        ...         return [[len(text), text.count(" ") + 1] for text in texts]
        >>> Lengths().get_embedding("heat pumps")
        [10, 2]
    """

    id: str
    dimensions: int | None = None
