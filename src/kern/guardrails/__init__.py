"""Guardrails: what refuses or masks what goes into runs and tools, and what comes out of them."""

from importlib import import_module
from typing import TYPE_CHECKING

from kern.guardrails.base import BaseGuardrail

if TYPE_CHECKING:
    from kern.guardrails.injection import PromptInjectionGuardrail
    from kern.guardrails.moderation import OpenAIModerationGuardrail
    from kern.guardrails.pii import PIIDetectionGuardrail

__all__ = [
    "BaseGuardrail",
    "OpenAIModerationGuardrail",
    "PIIDetectionGuardrail",
    "PromptInjectionGuardrail",
]

_MODULES = {
    "OpenAIModerationGuardrail": "moderation",
    "PIIDetectionGuardrail": "pii",
    "PromptInjectionGuardrail": "injection",
}


def __getattr__(name: str) -> object:
    """Import a guardrail once it is used: every agent knows that there are some."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
