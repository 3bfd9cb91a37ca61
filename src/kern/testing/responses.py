"""The path by which the server of one protocol was known; see :mod:`kern.testing`."""

from kern.testing.record import RequestRecord
from kern.testing.reply import Reasoning, Reply, Usage
from kern.testing.server import ProtocolServer as ResponsesServer

__all__ = ["Reasoning", "Reply", "RequestRecord", "ResponsesServer", "Usage"]
