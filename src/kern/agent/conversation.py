"""A conversation that is carried explicitly: an agent, a session and a user."""

from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Generic, Literal, cast, overload

from typing_extensions import Unpack

from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.sync.printing import SyncPrinting
from kern.errors import InvalidInputError
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.codec import check_id, check_user
from kern.run.event import RunOutputEvent
from kern.run.identity import new_id


class Conversation(Generic[Deps, Output]):
    """An agent in one session, for one user: what it is asked, it is asked there.

    Attributes:
        agent: the agent.
        session_id: the session, which its first run makes.
        user_id: on whose behalf, or None.

    Example:
        >>> from kern.agent import Agent
        >>> conversation = Agent("Assistant").conversation(user_id="ada")
        >>> conversation.user_id
        'ada'
    """

    def __init__(
        self,
        agent: SyncPrinting[Deps, Output],
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Begin a conversation, or take one up again.

        Args:
            agent: the agent.
            session_id: the session; by default a new one.
            user_id: on whose behalf; by default the agent's user.

        Raises:
            InvalidInputError: an id cannot be used.
        """
        self.agent = agent
        self.session_id: str = (
            new_id() if session_id is None else check_id("session_id", session_id)
        )
        self.user_id: str | None = check_user(agent.user_id if user_id is None else user_id)

    def __repr__(self) -> str:
        return f"Conversation({self.agent!r}, {self.session_id!r})"

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] | None = None,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Output]]: ...

    @overload
    def arun(
        self, input: Input, *, stream: Literal[True], **options: Unpack[RunOptions]
    ) -> AsyncGenerator[RunOutputEvent, None]: ...

    def arun(
        self, input: Input, *, stream: bool | None = None, **options: Unpack[RunOptions]
    ) -> Coroutine[object, object, RunOutput[Output]] | AsyncGenerator[RunOutputEvent, None]:
        """Run the agent in this conversation; see :meth:`kern.agent.Agent.arun`."""
        made = self.agent.arun(input, stream=stream, **self._with_ids(options))
        return cast("Coroutine[object, object, RunOutput[Output]]", made)

    @overload
    def run(
        self,
        input: Input,
        *,
        stream: Literal[False] | None = None,
        **options: Unpack[RunOptions],
    ) -> RunOutput[Output]: ...

    @overload
    def run(
        self, input: Input, *, stream: Literal[True], **options: Unpack[RunOptions]
    ) -> Iterator[RunOutputEvent]: ...

    def run(
        self, input: Input, *, stream: bool | None = None, **options: Unpack[RunOptions]
    ) -> RunOutput[Output] | Iterator[RunOutputEvent]:
        """Run the agent in this conversation; see :meth:`kern.agent.Agent.run`."""
        made: Any = self.agent.run(input, stream=stream, **self._with_ids(options))
        return cast("RunOutput[Output] | Iterator[RunOutputEvent]", made)

    async def aprint_response(self, input: Input, **options: Any) -> None:
        """Run the agent here and show its answer; see :meth:`kern.agent.Agent.aprint_response`."""
        await self.agent.aprint_response(input, **self._with_ids(options))

    def print_response(self, input: Input, **options: Any) -> None:
        """Run the agent here and show its answer; see :meth:`kern.agent.Agent.print_response`."""
        self.agent.print_response(input, **self._with_ids(options))

    def _with_ids(self, options: Any) -> Any:
        """Return the options of a run with the session and the user.

        Raises:
            InvalidInputError: they name others.
        """
        ids = {"session_id": self.session_id, "user_id": self.user_id}
        for name, value in ids.items():
            if options.get(name) not in (None, value):
                raise InvalidInputError(
                    f"{name}: this conversation has its own, {value!r}. Begin another one with "
                    "agent.conversation(), or run the agent itself."
                )
        return {**options, **ids}
