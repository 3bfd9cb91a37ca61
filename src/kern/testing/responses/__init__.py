"""A stand-in for OpenAI's Responses API, for tests and benchmarks over real HTTP."""

from kern.testing.record import RequestRecord
from kern.testing.reply import Reasoning, Reply, Usage
from kern.testing.server import ProtocolServer as ResponsesServer

__all__ = ["Reasoning", "Reply", "RequestRecord", "ResponsesServer", "Usage"]
