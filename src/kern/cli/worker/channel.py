"""The line from a worker process to the process that looks after it."""

import json
import socket
import threading
from collections.abc import Callable

from kern.cli.worker.log import Stream


class Channel:
    """A socket whose other end the supervisor holds; the lines of the log go over it, too.

    Towards the supervisor a message is a line of JSON, from there a byte is the question whether
    the process answers. Its end is the wish that the process ends, for whatever reason.
    """

    def __init__(self, descriptor: int, fallback: Stream) -> None:
        """Take the socket over.

        Args:
            descriptor: its file descriptor.
            fallback: where lines go when the supervisor is gone.
        """
        self._fallback = fallback
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._lock = threading.Lock()

    def listen(self, asked: Callable[[], None], ended: Callable[[], None]) -> None:
        """Listen to the supervisor from now on, in a thread.

        Args:
            asked: called when the supervisor asks whether the process answers.
            ended: called when the supervisor wants the process to end, or is gone itself.
        """

        def receive() -> None:
            try:
                while self._socket.recv(1):
                    asked()
            except OSError:
                pass
            ended()

        threading.Thread(target=receive, name="kern-channel", daemon=True).start()

    def send(self, **message: object) -> bool:
        """Send a message; False where the supervisor is gone."""
        try:
            with self._lock:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def write(self, text: str) -> None:
        """Have a line printed."""
        if not self.send(line=text):
            self._fallback.write(text)
            self._fallback.flush()

    def flush(self) -> None:
        """Do nothing: every line is sent at once."""
