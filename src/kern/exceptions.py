"""The errors of models under the names by which many know them; all others are in kern.errors."""

from kern.errors import (
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
)

ModelProviderError = ModelError
"""The model's service refused, failed or answered with something unusable."""

__all__ = [
    "ContextWindowExceededError",
    "ModelAuthenticationError",
    "ModelProviderError",
    "ModelRateLimitError",
]
