"""Tools by which a model looks at what was said before: here, and in sessions of the same user."""

import asyncio
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from typing_extensions import override

from kern.db.base import Store
from kern.db.database import Database
from kern.db.sessions import SessionFilter
from kern.errors import InvalidInputError
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.codec import decode_object
from kern.run.input import messages_of
from kern.run.tool import ToolExecution, ToolSchema
from kern.session.agent import is_chat
from kern.session.search import previews_of, shortened
from kern.tools import Tool, ToolResult

_RUNS = 1000
"""How many runs of a session are looked at, the last ones."""

_PAST_RUNS = 20
"""How many runs of a past session are read where the model does not say how many."""

_LONGEST = 10_000
"""How many characters of a past question or answer are read."""

_OF_NOBODY = "This run has no user, so there are no past sessions of the same user."


Find: TypeAlias = Callable[[], Database | None]
"""Returns an agent's database, as it is then."""


class PastTool(Tool):
    """A tool without effects that answers in JSON, out of its agent's database."""

    def __init__(
        self, db: Find, name: str, description: str, **parameters: Mapping[str, object]
    ) -> None:
        """Describe the tool.

        Args:
            db: returns the agent's database.
            name: what the model calls.
            description: what it is for.
            parameters: its arguments, each as a JSON Schema; one without a default is required.
        """
        required = [each for each, schema in parameters.items() if "default" not in schema]
        schema: dict[str, object] = {
            "type": "object",
            "properties": parameters,
            "required": required,
        }
        super().__init__(ToolSchema(name, description, schema))
        self._db = db

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        db = self._db()
        assert db is not None, "an agent that has these tools has a database"
        found = await self.found(await db.store(), context, decode_object(arguments))
        return ToolResult(json.dumps(found, ensure_ascii=False))

    @abstractmethod
    async def found(self, store: Store, context: RunContext, arguments: dict[str, Any]) -> object:
        """Return the answer as JSON values.

        Args:
            store: the database.
            context: of this call.
            arguments: as the model wrote them.
        """


class SearchPastSessions(PastTool):
    """Lists the newest sessions of the run's user."""

    def __init__(self, db: Find, sessions: int, runs: int) -> None:
        """Describe the tool; it lists so many sessions, with so many runs of each."""
        super().__init__(
            db,
            "search_past_sessions",
            "List the user's past conversations, the newest first, each with its id and how it "
            "began. Read one with read_past_session.",
        )
        self._sessions, self._runs = sessions, runs

    @override
    async def found(self, store: Store, context: RunContext, arguments: dict[str, Any]) -> object:
        if context.user_id is None:
            return {"sessions": [], "note": _OF_NOBODY}
        wanted = SessionFilter(user_id=context.user_id)
        rows = await store.sessions.find(wanted, self._sessions + 1, oldest_first=False)
        others = [each for each in rows if each.session_id != context.session_id]
        ids = [each.session_id for each in others[: self._sessions]]
        beginnings: dict[str, list[tuple[str, str]]] = {each: [] for each in ids}
        for each in await store.sessions.previews(ids, self._runs):
            beginnings[each.session_id].append((each.input, each.output))
        return {
            "sessions": [
                {
                    "session_id": row.session_id,
                    "session_name": row.name,
                    "created_at": row.created_at and row.created_at.isoformat(),
                    "runs": previews_of(beginnings[row.session_id]),
                }
                for row in others[: self._sessions]
            ]
        }


class ReadPastSession(PastTool):
    """Reads a session of the run's user."""

    def __init__(self, db: Find) -> None:
        """Describe the tool."""
        super().__init__(
            db,
            "read_past_session",
            "Read one of the user's past conversations.",
            session_id={"type": "string", "description": "As search_past_sessions gives it."},
            num_runs={
                "type": ["integer", "null"],
                "default": None,
                "description": f"How many questions with answers, the last ones; {_PAST_RUNS} "
                "where it is not given.",
            },
        )

    @override
    async def found(self, store: Store, context: RunContext, arguments: dict[str, Any]) -> object:
        if context.user_id is None:
            raise InvalidInputError(_OF_NOBODY)
        chosen, many = str(arguments.get("session_id")), _number(arguments, "num_runs", _PAST_RUNS)
        row = await store.sessions.get_for(chosen, context.user_id)
        if row is None or row.user_id != context.user_id:
            raise InvalidInputError(f"There is no past session {chosen!r} of this user.")
        records = await store.sessions.runs(
            row.session_id,
            many,
            (RunStatus.completed,),
            user_id=context.user_id,
            without_children=True,
        )
        runs: list[RunOutput[Any]] = [RunOutput.from_record(each) for each in records]
        return {
            "session_id": row.session_id,
            "session_name": row.name,
            "runs": [
                {
                    "question": shortened(
                        "\n\n".join(
                            each.text
                            for each in run.messages
                            if each.role == "user" and not each.from_history
                        ),
                        _LONGEST,
                    ),
                    "answer": shortened(run.get_content_as_string(), _LONGEST),
                }
                for run in runs
            ],
        }


class GetChatHistory(PastTool):
    """Reads what was said before in this session."""

    def __init__(self, db: Find) -> None:
        """Describe the tool."""
        super().__init__(
            db,
            "get_chat_history",
            "Read what the user and you have said before in this conversation.",
            num_chats={
                "type": ["integer", "null"],
                "default": None,
                "description": "How many questions with answers, the last ones; all by default.",
            },
        )

    @override
    async def found(self, store: Store, context: RunContext, arguments: dict[str, Any]) -> object:
        many = _number(arguments, "num_chats", _RUNS)
        return [
            {"role": message.role, "content": message.text}
            for output in await _earlier(store, context, many)
            for message in messages_of(output)
            if is_chat(message) and not message.from_history
        ]


class GetToolCallHistory(PastTool):
    """Reads which tools were called before in this session."""

    def __init__(self, db: Find) -> None:
        """Describe the tool."""
        super().__init__(
            db,
            "get_tool_call_history",
            "Read which tools you have called before in this conversation, the last call first.",
            num_calls={"type": "integer", "default": 3, "description": "How many calls."},
        )

    @override
    async def found(self, store: Store, context: RunContext, arguments: dict[str, Any]) -> object:
        many = _number(arguments, "num_calls", 3)
        calls = [
            {
                "tool_name": call.tool_name,
                "tool_args": call.tool_args,
                "result": call.result and shortened(call.result, _LONGEST),
            }
            for output in reversed(await _earlier(store, context, _RUNS))
            for call in reversed([*map(ToolExecution.from_dict, _tools_in(output))])
        ]
        return calls[:many]


async def _earlier(store: Store, context: RunContext, limit: int) -> list[dict[str, object]]:
    """Return the outputs of the completed runs before this one, the oldest first."""
    found = await store.history(context.session_id, context.run_id, limit, user_id=context.user_id)
    return [decode_object(text) for _, text in found]


def _tools_in(output: dict[str, Any]) -> list[dict[str, Any]]:
    return output.get("tools") or []


def _number(arguments: dict[str, Any], name: str, default: int) -> int:
    """Return a number that the model may have given."""
    value = arguments.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 1:
        raise InvalidInputError(f"{name} must be a whole number from 1 on, not {value!r:.50}.")
    return min(value, _RUNS)
