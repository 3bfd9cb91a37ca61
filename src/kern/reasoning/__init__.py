"""How a model thinks before it answers, step by step."""

from kern.reasoning.step import NextAction, ReasoningStep, ReasoningSteps

__all__ = ["NextAction", "ReasoningStep", "ReasoningSteps"]
