"""From the events of a run to those of a response: a pure translation, the same for every reader."""

from typing import Any

from kern.run.event import RunOutputEvent
from kern.run.output import RunOutput
from kern.server.responses.object import Json, ResponseView


class Translator:
    """Translates the events of one run into those of one response, each once and in order.

    It is given the run's events from the first on, whatever the reader has already: the numbers
    come out the same then, in every process and at every time. A run that pauses is several
    responses; the translator of one of them leaves out what belongs to the others.
    """

    def __init__(self, response: ResponseView, *, stretch: int = 0) -> None:
        """Begin.

        Args:
            response: what the response was asked for.
            stretch: which response of the run it is: after how many pauses it begins.
        """
        raise NotImplementedError

    def begin(self) -> list[Json]:
        """Return the events with which the response begins, before anything has happened."""
        raise NotImplementedError

    def take(self, event: RunOutputEvent) -> list[Json]:
        """Return what an event of the run means in the response.

        Args:
            event: the event; a pause ends the response.
        """
        raise NotImplementedError

    def end(self, run: RunOutput[Any]) -> list[Json]:
        """Return the events with which the response ends.

        Nothing is returned if a pause has ended it already, or the run goes on.

        Args:
            run: the run, once its events have come to their end.
        """
        raise NotImplementedError

    def fail(self, code: str, message: str) -> list[Json]:
        """Return the events with which the response ends where the run itself did not.

        Args:
            code: a word for what has happened, such as ``"server_shutdown"``.
            message: what has happened.
        """
        raise NotImplementedError

    @property
    def is_ended(self) -> bool:
        """Whether it has told how the response ends."""
        raise NotImplementedError

    def response(self) -> Json:
        """Return the Response object as of now."""
        raise NotImplementedError


def frame(event: Json) -> bytes:
    """Return an event as the bytes of server-sent events; it is encoded once here."""
    raise NotImplementedError
