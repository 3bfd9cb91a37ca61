"""Guardrails: what refuses or masks what goes into runs and tools, and what comes out of them."""

from kern.guardrails.base import BaseGuardrail
from kern.guardrails.injection import PromptInjectionGuardrail
from kern.guardrails.moderation import OpenAIModerationGuardrail
from kern.guardrails.pii import PIIDetectionGuardrail

__all__ = [
    "BaseGuardrail",
    "OpenAIModerationGuardrail",
    "PIIDetectionGuardrail",
    "PromptInjectionGuardrail",
]
