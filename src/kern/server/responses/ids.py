"""The ids of responses: each names a run, and which stretch of it between two pauses is meant."""

import re
from typing import NamedTuple, Self

from typing_extensions import override

from kern.errors import InvalidInputError
from kern.run.codec import check_id
from kern.server.problems import RequestError

_PREFIX = "resp_"
_STRETCH = re.compile(r"(.+)\.(0|[1-9][0-9]{0,8})", re.DOTALL)

CONVERSATION = "conv_"
"""What the id of a conversation begins with; what follows is that of a session."""


class ResponseId(NamedTuple):
    """What the id of a response names.

    Attributes:
        run_id: the run.
        stretch: how often the run had been continued by then; 0 for that up to its first pause.

    Example:
        >>> str(ResponseId("run")), str(ResponseId("run", 2))
        ('resp_run', 'resp_run.2')
        >>> ResponseId.parse("resp_run.2")
        ResponseId(run_id='run', stretch=2)
        >>> str(ResponseId("my.run.1"))  # An id that looks like a stretch always has one.
        'resp_my.run.1.0'
    """

    run_id: str
    stretch: int = 0

    @classmethod
    def parse(cls, text: str, param: str = "response_id") -> Self:
        """Return what an id names.

        Args:
            text: the id.
            param: the parameter that it is given in.

        Raises:
            RequestError: no response has such an id (404).
        """
        named = text.removeprefix(_PREFIX)
        found = _STRETCH.fullmatch(named)
        response = cls(named) if found is None else cls(found[1], int(found[2]))
        if text.startswith(_PREFIX) and _is_id(response.run_id):
            return response
        raise no_response(text, param)

    @override
    def __str__(self) -> str:
        if self.stretch or _STRETCH.fullmatch(self.run_id):
            return f"{_PREFIX}{self.run_id}.{self.stretch}"
        return _PREFIX + self.run_id


def no_response(text: str, param: str = "response_id") -> RequestError:
    """Return what is said of a response that there is not, or that is another user's."""
    code = "previous_response_not_found" if param == "previous_response_id" else "not_found"
    return RequestError(404, f"There is no response {text!r:.300}.", code=code, param=param)


def session_of(conversation: str, param: str = "conversation_id") -> str:
    """Return the session that a conversation's id names.

    Raises:
        RequestError: no conversation has such an id (404).
    """
    session_id = conversation.removeprefix(CONVERSATION)
    if conversation.startswith(CONVERSATION) and _is_id(session_id):
        return session_id
    raise no_conversation(conversation, param)


def no_conversation(text: str, param: str = "conversation_id") -> RequestError:
    """Return what is said of a conversation that there is not, or that is another user's."""
    return RequestError(
        404, f"There is no conversation {text!r:.300}.", code="not_found", param=param
    )


def _is_id(text: str) -> bool:
    try:
        check_id("id", text)
    except InvalidInputError:
        return False
    return True
