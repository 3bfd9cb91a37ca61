"""What users need to test their agents without a provider.

:class:`ScriptedModel` and :class:`FunctionModel` answer in the process of the test, and
:class:`WordsEmbedder` embeds in it;
:class:`ProtocolServer` answers over HTTP, so that the provider's own client is tested as well.
"""

from typing import TYPE_CHECKING

from kern.testing.embedder import WordsEmbedder
from kern.testing.models import FunctionModel, ScriptedModel
from kern.testing.record import RequestRecord
from kern.testing.reply import Reasoning, Reply, Usage

if TYPE_CHECKING:
    from kern.testing.server import ProtocolServer

    ResponsesServer = ProtocolServer

__all__ = [
    "FunctionModel",
    "ProtocolServer",
    "Reasoning",
    "Reply",
    "RequestRecord",
    "ResponsesServer",
    "ScriptedModel",
    "Usage",
    "WordsEmbedder",
]


def __getattr__(name: str) -> object:
    """Import the server once it is used: only that needs the extra ``testing``."""
    if name not in ("ProtocolServer", "ResponsesServer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kern.testing.server import ProtocolServer

    return ProtocolServer
