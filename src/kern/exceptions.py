"""Errors under the names by which many know them; all others are in kern.errors."""

from kern.errors import (
    AgentRunException,
    CheckTrigger,
    ContextWindowExceededError,
    InputCheckError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    ModelRetry,
    OutputCheckError,
    RetryAgentRun,
    RunCancelledError,
    StopAgentRun,
)
from kern.run.pausing import ApprovalRequired

ModelProviderError = ModelError
"""The model's service refused, failed or answered with something unusable."""

RunCancelledException = RunCancelledError
"""A run was cancelled."""

__all__ = [
    "AgentRunException",
    "ApprovalRequired",
    "CheckTrigger",
    "ContextWindowExceededError",
    "InputCheckError",
    "ModelAuthenticationError",
    "ModelProviderError",
    "ModelRateLimitError",
    "ModelRetry",
    "OutputCheckError",
    "RetryAgentRun",
    "RunCancelledException",
    "StopAgentRun",
]
