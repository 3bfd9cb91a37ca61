"""Errors under the names by which many know them; all others are in kern.errors."""

from kern.errors import (
    AgentRunException,
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    ModelRetry,
    RetryAgentRun,
    StopAgentRun,
)

ModelProviderError = ModelError
"""The model's service refused, failed or answered with something unusable."""

__all__ = [
    "AgentRunException",
    "ContextWindowExceededError",
    "ModelAuthenticationError",
    "ModelProviderError",
    "ModelRateLimitError",
    "ModelRetry",
    "RetryAgentRun",
    "StopAgentRun",
]
