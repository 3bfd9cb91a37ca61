"""What runs, models and tools have used, under the names by which many know it."""

from kern.run.metrics import Metrics, ModelMetrics, ToolCallMetrics

RunMetrics = Metrics
"""What a run used."""

MessageMetrics = Metrics
"""What the model call used that a message is the answer of."""

SessionMetrics = Metrics
"""What the runs of a session used together."""

__all__ = [
    "MessageMetrics",
    "Metrics",
    "ModelMetrics",
    "RunMetrics",
    "SessionMetrics",
    "ToolCallMetrics",
]
