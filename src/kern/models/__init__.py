"""Models: the port is in ``base``; a directory a provider, over the provider's official SDK.

Attributes:
    ALLOW_MODEL_REQUESTS: set it to False in an application's tests, and a call of a provider's
        model raises ModelError and asks nobody. Models that answer in the process go on.
"""

ALLOW_MODEL_REQUESTS: bool = True
