"""A stand-in for OpenAI's Responses API, for tests and benchmarks over real HTTP."""

from kern.testing.responses.record import RequestRecord
from kern.testing.responses.reply import Reasoning, Reply, Usage
from kern.testing.responses.server import ResponsesServer

__all__ = ["Reasoning", "Reply", "RequestRecord", "ResponsesServer", "Usage"]
