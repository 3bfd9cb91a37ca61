"""What users need to test their agents without a model."""

from kern.testing.record import RequestRecord
from kern.testing.reply import Reasoning, Reply, Usage
from kern.testing.server import ProtocolServer

ResponsesServer = ProtocolServer

__all__ = ["ProtocolServer", "Reasoning", "Reply", "RequestRecord", "ResponsesServer", "Usage"]
