"""What loading a knowledge base fails of."""

from kern.errors.base import KernError


class ContentError(KernError):
    """What was to be put into a knowledge base cannot be read.

    Example:
        >>> ContentError("plan.xyz is no text.").message
        'plan.xyz is no text.'
    """
