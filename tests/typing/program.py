"""A program as users of this API write it. Mypy and Pyright read it; nothing executes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_type

from pydantic import BaseModel

from kern.agent import Agent, AgentSession, RunOutput
from kern.approval import approval
from kern.compression.manager import CompressionManager
from kern.db.postgres import AsyncPostgresDb
from kern.db.sqlite import SqliteDb
from kern.exceptions import CheckTrigger, InputCheckError, ModelProviderError
from kern.filters import AND, EQ
from kern.guardrails import BaseGuardrail, PIIDetectionGuardrail
from kern.hooks import hook
from kern.knowledge import Document, Knowledge
from kern.media import Image
from kern.memory import MemoryManager, UserMemory
from kern.models.anthropic import Claude
from kern.models.base import ModelRequest
from kern.models.message import Message
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.registry import Registry
from kern.run import RunContext
from kern.run.agent import (
    CustomEvent,
    RunCompletedEvent,
    RunContentEvent,
    RunErrorEvent,
    RunEvent,
    RunInput,
    RunPausedEvent,
    ToolCallStartedEvent,
)
from kern.run.metrics import Metrics
from kern.run.tool import ToolExecution
from kern.session import SessionSummary, SessionSummaryManager
from kern.skills import LocalSkills, Skills
from kern.team import Team
from kern.testing import FunctionModel, ProtocolServer, Reply, ScriptedModel, WordsEmbedder
from kern.tools import FunctionCall, Toolkit, tool
from kern.tools.mcp import MCPTools
from kern.tools.reasoning import ReasoningTools
from kern.vectordb.sqlite import SqliteVec


class Movie(BaseModel):
    title: str


@dataclass
class Progress(CustomEvent):
    percent: int = 0


@approval
@tool
def refund(cents: int) -> str:
    """Refund an amount."""
    return str(cents)


@approval(type="audit")
@tool(requires_confirmation=True)
async def wire(cents: int) -> str:
    """Wire an amount."""
    return str(cents)


def remember(run_context: RunContext, item: str) -> str:
    """Remember an item."""
    if run_context.session_state is None:
        run_context.session_state = {}
    run_context.session_state.setdefault("items", []).append(item)
    return item


class Calculator(Toolkit):
    def __init__(self) -> None:
        super().__init__(name="calculator", tools=[self.add])

    def add(self, a: float, b: float) -> float:
        """Add two numbers."""
        return a + b


def before_the_run(run_input: RunInput, agent: Agent) -> None:
    if agent.name in str(run_input.input_content):
        raise InputCheckError("No.", check_trigger=CheckTrigger.OFF_TOPIC)


@hook(run_in_background=True)
def after_the_run(run_output: RunOutput) -> None:
    assert_type(run_output.content, str | None)
    assert_type(run_output.metrics, Metrics)
    assert_type(run_output.team_id, str | None)


class Guard(BaseGuardrail):
    def check(self, run_input: RunInput) -> None:
        assert_type(run_input.input_content_string(), str)


def around(function_name: str, function_call: Callable[..., object], arguments: Any) -> object:
    return function_call(**arguments) if function_name else None


def before_the_call(fc: FunctionCall) -> None:
    print(fc.function.name, fc.arguments, fc.call_id)


@tool(pre_hook=before_the_call)
def hooked(x: int) -> int:
    return x


def instructions(agent: Agent, session_state: dict[str, Any]) -> str:
    return f"You are {agent.name}, and hold {session_state['items']}."


db = SqliteDb(db_file="kern.db")
knowledge = Knowledge("Shop", vector_db=SqliteVec("v.db", embedder=WordsEmbedder()))
typed = Agent(name="Critic", model=ScriptedModel(["{}"]), output_schema=Movie)
agent = Agent(
    name="Clerk",
    model=OpenAIChat(id="m", temperature=0.2),
    db=db,
    tools=[refund, wire, remember, hooked, Calculator(), ReasoningTools(), {"type": "web_search"}],
    pre_hooks=[before_the_run, Guard(), PIIDetectionGuardrail(mask_pii=True)],
    post_hooks=[after_the_run],
    tool_hooks=[around],
    instructions=instructions,
    session_state={"items": []},
    knowledge=knowledge,
    knowledge_filters=[AND(EQ("year", 2026))],
    memory_manager=MemoryManager(model=Claude()),
    update_memory_on_run=True,
    skills=Skills(loaders=[LocalSkills("skills")]),
    compression_manager=CompressionManager(),
    session_summary_manager=SessionSummaryManager(),
    dependencies={"shop": lambda: "Bonn"},
    additional_input=["Hi", {"role": "assistant", "content": "Hello."}],
    fallback_models=["anthropic:claude-sonnet-5-5"],
)


def a_stream_is_matched() -> None:
    for event in agent.run("Hi", stream=True, stream_events=True):
        match event:
            case RunContentEvent():
                assert_type(event.content, str)
            case ToolCallStartedEvent():
                assert_type(event.tool, ToolExecution)
            case RunCompletedEvent():
                assert_type(event.metrics, Metrics | None)
            case RunPausedEvent():
                for requirement in event.active_requirements:
                    if requirement.needs_user_input:
                        for each in requirement.user_input_schema or []:
                            each.value = each.value or "ada"
                    elif requirement.needs_confirmation:
                        requirement.confirm()
                agent.continue_run(run_id=event.run_id, requirements=event.requirements)
            case RunErrorEvent():
                assert_type(event.error_type, str | None)
            case Progress():
                assert_type(event.percent, int)
            case _:
                assert event.event != RunEvent.run_content


def runs_and_sessions_are_read() -> None:
    run = agent.run("Hi", session_id="s", user_id="u", images=[Image(url="https://example.com/a")])
    assert_type(run.messages, list[Message])
    assert_type(run.messages[0].name, str | None)
    assert_type(run.messages[0].metrics, Metrics | None)
    assert_type(run.tools[0].tool_args, dict[str, Any])
    assert_type(typed.run("?").content, Movie | None)
    assert_type(agent.get_session("s"), AgentSession | None)
    assert_type(agent.get_session_summary("s"), SessionSummary | None)
    assert_type(agent.get_user_memories("u"), list[UserMemory])
    assert_type(agent.get_chat_history("s"), list[Message])
    assert_type(db.get_sessions(user_id="u"), list[AgentSession])
    assert_type(knowledge.search("pumps"), list[Document])
    agent.model = OpenAIResponses("m")
    try:
        agent.print_response("Hi", stream=True)
    except ModelProviderError as error:
        assert_type(error.status_code, int | None)


async def the_same_of_asynchronous_code() -> None:
    run = await agent.arun("Hi", background=True)
    found = await agent.aget_run_output(run.run_id, run.session_id)
    assert_type(found, RunOutput | None)
    if found is not None and found.is_paused:
        again = await agent.acontinue_run(run_id=run.run_id, requirements=found.requirements)
        assert_type(again, RunOutput)
    assert_type(await AsyncPostgresDb("postgresql://host/db").get_session("s"), AgentSession | None)
    assert_type(await agent.conversation(user_id="u").arun("Hi"), RunOutput)
    async with MCPTools("server") as server:
        assert_type(server, MCPTools)


def teams_answer_in_types_too() -> None:
    team = Team(name="Shop", members=[agent, typed], model=OpenAIResponses("m"), mode="route")
    assert_type(team.run("?"), RunOutput)
    critics = Team(members=[typed], model=OpenAIResponses("m"), output_schema=Movie)
    assert_type(critics.run("?").content, Movie | None)
    assert_type(team.get_member_responses(team.run("?")), list[RunOutput])


def tests_are_typed_and_so_is_what_is_loaded() -> None:
    def answer(request: ModelRequest) -> str | Reply:
        return request.messages[-1].text or Reply.refusal()

    FunctionModel(answer)
    with ProtocolServer([Reply.text("Hi.")]) as server:
        assert_type(server.base_url, str)
    assert isinstance(Agent.load("clerk", db=db, registry=Registry(tools=[refund])), Agent)
