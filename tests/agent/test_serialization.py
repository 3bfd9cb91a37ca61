"""An agent as JSON values: what it was given comes back, or is refused by its name."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from at_rest import at_rest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_parts import (
    Echo,
    Invoice,
    Polite,
    Shop,
    around,
    find,
    last_only,
    look,
    look_back,
    members_of_run,
    needs_person,
    on_fallback,
    price,
    refund,
    told,
    tools_of_run,
    town_of_run,
)

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.agent.handoff import Handoff
from kern.agent.keywords import KEYWORDS
from kern.compression import Compaction, CompressionManager
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError
from kern.execution.answering import FollowupConfig
from kern.execution.middleware import Middleware
from kern.filters import EQ, GT
from kern.guardrails import PIIDetectionGuardrail
from kern.knowledge import Knowledge
from kern.memory import MemoryManager
from kern.models.anthropic import Claude
from kern.models.aws import Claude as Bedrock
from kern.models.fallback import FallbackConfig
from kern.models.ollama import Ollama
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.prices import Price
from kern.registry import Registry
from kern.run.event import RunEvent
from kern.run.message import Message
from kern.run.usage import UsageLimits
from kern.session.summary import SessionSummaryManager
from kern.skills import Skills
from kern.team import Team
from kern.team.part import MembersPart
from kern.tools import FunctionTool
from kern.tools.hackernews import HackerNewsTools
from kern.tools.openai import OpenAITools
from kern.tools.user_feedback import UserFeedbackTools

KNOWLEDGE = Knowledge("stock")
ALLOWED = Registry(modules=["kept_parts"], values={"stock": KNOWLEDGE})

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip()) and "{" not in text
)
FLAGS = st.booleans()
COUNTS = st.integers(1, 50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
MODELS = st.sampled_from(
    [
        OpenAIResponses("gpt-5.4", temperature=0.5, reasoning_effort="low", price=Price(1, 2)),
        OpenAIChat("gpt-5.4", api_key="sk-1234567890abcdefghij", seed=7, stop=["END"]),
        OpenAIResponses(base_url="http://localhost:8000/v1"),
        Claude("claude-sonnet-5-5", thinking={"type": "adaptive"}, cache_tools=True),
        Ollama(),
        Echo(times=3),
    ]
)
MODEL_TEXTS = MODELS | st.sampled_from(["openai:gpt-5.4", "anthropic:claude-sonnet-5-5"])
HELPER = Agent("Helper", "openai:gpt-5.4", role="helps", tools=[price])

# Of each keyword what it may be given, that is kept; a keyword without a line fails the test.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXTS.filter(str.isascii).filter(lambda text: any(map(str.isalnum, text))),
    "model": MODEL_TEXTS,
    "id": TEXTS,
    "user_id": TEXTS,
    "session_id": TEXTS,
    "db": st.sampled_from([SqliteDb("shop.db"), SqliteDb("other.db", "company")]),
    "metadata": OBJECTS,
    "debug_level": st.sampled_from([1, 2]),
    "instructions": TEXTS | st.lists(TEXTS, min_size=1, max_size=3) | st.just(told),
    "system_message": TEXTS | st.just(told) | st.just(Message("system", "Be brief.")),
    "system_message_role": st.sampled_from(["system", "user"]),
    "additional_input": st.lists(
        TEXTS | st.just(Message("assistant", "Yes.")) | st.just({"role": "user", "content": "Hm?"}),
        min_size=1,
        max_size=3,
    ),
    "datetime_format": st.sampled_from(["%Y", "%H:%M"]),
    "timezone_identifier": st.sampled_from(["Europe/Berlin", "UTC"]),
    "add_location_to_context": FLAGS | TEXTS | st.just(town_of_run),
    "user_message_role": st.just("user"),
    "input_schema": st.sampled_from([Invoice, {"type": "object", "properties": {}}]),
    "knowledge_retriever": st.just(find),
    "knowledge_filters": OBJECTS | st.just([EQ("lang", "de"), ~GT("year", 2020)]),
    "references_format": st.sampled_from(["json", "yaml"]),
    "num_history_runs": COUNTS,
    "num_history_messages": COUNTS,
    "max_tool_calls_from_history": COUNTS,
    "history_agents": st.sampled_from(["own", "all"]),
    "session_state": OBJECTS,
    "num_past_sessions_to_search": COUNTS,
    "num_past_session_runs_in_search": COUNTS,
    "session_summary_manager": st.sampled_from(
        [SessionSummaryManager(last_n_runs=3), SessionSummaryManager(Echo(), "Sum it up.")]
    ),
    "events_to_skip": st.sampled_from([[RunEvent.run_content], ["RunStarted"]]),
    "tools": st.lists(
        st.sampled_from(
            [
                price,
                refund,
                Shop("Wien"),
                HackerNewsTools(),
                UserFeedbackTools(),
                FunctionTool(price, name="careful", requires_confirmation=needs_person),
                FunctionTool(price, name="asked", user_input_fields=["article"], timeout=3),
                HELPER.as_tool("help", requires_confirmation=True),
                {"type": "web_search"},
            ]
        ),
        max_size=4,
        unique_by=id,
    )
    | st.just(tools_of_run),
    "tool_choice": st.sampled_from(["auto", "none"]),
    "tool_call_limit": COUNTS,
    "tool_hooks": st.just([around, Polite()]),
    "handoffs": st.sampled_from([[HELPER], [Handoff(HELPER, last_only, "pass_on", "when stuck")]]),
    "output_schema": st.sampled_from([Invoice, int, {"type": "object", "properties": {}}]),
    "output_retries": COUNTS,
    "parser_model": MODEL_TEXTS,
    "output_model": MODEL_TEXTS,
    "followups": FLAGS | st.just(FollowupConfig(Echo(), num_followups=2)),
    "num_followups": COUNTS,
    "followup_model": MODEL_TEXTS,
    "pre_hooks": st.just([look, Polite("bitte"), PIIDetectionGuardrail(mask_pii=True)]),
    "post_hooks": st.just([look_back]),
    "dependencies": st.just({"town": town_of_run}),
    "max_turns": COUNTS | st.none(),
    "usage_limits": st.sampled_from([UsageLimits(requests=5), UsageLimits(cost=0.5)]),
    "timeout": st.floats(1, 100),
    "max_attempts": COUNTS,
    "session_policy": st.sampled_from(["queue", "parallel"]),
    "max_concurrent_runs": COUNTS,
    "max_concurrent_runs_per_user": COUNTS,
    "max_queued_runs": COUNTS,
    "fallback_models": st.lists(MODEL_TEXTS, min_size=1, max_size=2),
    "fallback_config": st.just(FallbackConfig([Echo()], ["openai:x"], callback=on_fallback)),
    "retries": COUNTS,
    "delay_between_retries": st.floats(0.1, 10),
    "checkpoint": st.sampled_from(["runs", "tool-batch"]),
    "callable_tools_cache_key": st.just(told),
    "callable_knowledge_cache_key": st.just(told),
    "memory_manager": st.just(MemoryManager(Echo(), delete_memories=True)),
    "add_memories_to_context": FLAGS,
    "reasoning_model": MODEL_TEXTS,
    "reasoning_agent": st.just(Agent("Thinker", "openai:gpt-5.4")),
    "reasoning_min_steps": st.just(2),
    "reasoning_max_steps": st.integers(3, 9),
    "compression_manager": st.just(CompressionManager("openai:x", compress_token_limit=10)),
    "knowledge": st.just(KNOWLEDGE),
    "compaction": FLAGS | st.just(Compaction(max_turns=20, model=Echo())),
}
ABOUT_TEXT = (
    *("description", "role", "expected_output", "additional_context", "introduction"),
    *("parser_model_prompt", "output_model_prompt"),
)
# What is refused by its name unless the registry has it.
REFUSED: Mapping[str, object] = {
    "middleware": [Middleware()],
    "skills": Skills([]),
    "knowledge": KNOWLEDGE,
    "save_response_to_file": "out/{name}.md",
}
KEPT = [each for each in KEYWORDS if each in VALUES or each not in REFUSED]
# What does not go with another.
WITHOUT = {"fallback_config": "fallback_models", "reasoning_agent": "reasoning_model"}
# What only goes with another.
WITH: dict[str, dict[str, object]] = {"update_knowledge": {"knowledge": KNOWLEDGE}}


def flags() -> set[str]:
    agent = Agent("x", "openai:x")
    return {name for name in KEYWORDS if isinstance(getattr(agent, name, None), bool)} | {
        "structured_outputs",
        "add_session_summary_to_context",
    }


def strategy_of(keyword: str) -> st.SearchStrategy[Any]:
    if keyword in VALUES:
        return VALUES[keyword]
    if keyword in ABOUT_TEXT:
        return TEXTS
    assert keyword in flags(), f"say in VALUES what {keyword} may be given, or in REFUSED"
    return FLAGS


@st.composite
def agents(draw: st.DrawFn) -> Agent[Any, Any]:
    """Return an agent with some keywords, that each may be given."""
    names = draw(st.sets(st.sampled_from(KEPT)))
    names -= {other for each, other in WITHOUT.items() if each in names}
    options = {name: draw(strategy_of(name), label=name) for name in sorted(names)}
    return agent_with(options)


def agent_with(options: Mapping[str, object]) -> Agent[Any, Any]:
    """Return an agent with some keywords, and those without which they do not go."""
    given: dict[str, Any] = {"name": "Shop", "db": SqliteDb("shop.db")}
    for name in options:
        given.update(WITH.get(name, {}))
    return Agent(**{**given, **options})


@given(agents())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_agent_comes_back_as_it_was(agent: Agent[Any, Any]) -> None:
    written = agent.to_dict(ALLOWED)
    assert json.loads(json.dumps(written)) == written
    again = Agent.from_dict(json.loads(json.dumps(written)), ALLOWED)
    assert again.to_dict(ALLOWED) == written
    assert [*again.tools] == [*agent.tools]
    assert again.told_text == agent.told_text
    assert again.model.id == agent.model.id
    assert {*agent.keywords()} == {*KEYWORDS}


@pytest.mark.parametrize("keyword", KEPT)
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_each_keyword_comes_back(keyword: str, data: st.DataObject) -> None:
    value = data.draw(strategy_of(keyword))
    agent = agent_with({keyword: value})
    written = agent.to_dict(ALLOWED)
    again = Agent.from_dict(written, ALLOWED)
    assert again.to_dict(ALLOWED) == written
    default = getattr(Agent("Shop", "openai:x"), keyword, None)
    kept = getattr(agent, keyword)
    assert keyword in written or kept == default or not kept


@pytest.mark.parametrize("keyword", REFUSED)
def test_what_has_no_form_is_refused_by_its_name(keyword: str) -> None:
    value = REFUSED[keyword]
    given: dict[str, Any] = {keyword: value}
    agent = Agent("Shop", **given)
    with pytest.raises(ConfigurationError, match=rf"\n- {keyword}(\[0\])? is (of the type|a file)"):
        agent.to_dict()
    own = value[0] if isinstance(value, list) else value
    registry = Registry(values={"own": own})
    again = getattr(Agent.from_dict(agent.to_dict(registry), registry), keyword)
    assert again is own or [*again] == [own]


def nested() -> Callable[..., object]:
    def inner(query: str) -> str:
        return query

    return inner


SHOP = Shop()
CHANGED = Shop()
CHANGED.register(price)


@pytest.mark.parametrize(
    ("given", "place", "why"),
    [
        ({"tools": [nested()]}, "tools[0]", "the function inner, which no other"),
        ({"tools": [SHOP.hours]}, "tools[0]", "the method hours of an object"),
        ({"tools": [CHANGED]}, "tools[0]", "a Shop that was changed after it was made"),
        ({"pre_hooks": [lambda run_input: None]}, "pre_hooks[0]", "is a lambda"),
        ({"instructions": lambda: "x"}, "instructions", "is a lambda"),
        ({"model": OpenAIChat("x", default_headers={"X-A": "b"})}, "model.default_headers", "may"),
        ({"model": OpenAIChat("x", base_url="http://a:b@c/v1")}, "model.base_url", "looks like"),
        ({"model": OpenAIChat("x", request_params={"api_key": "k"})}, ".api_key", "by its name"),
        ({"fallback_models": [Claude(client_params={"x": 1})]}, ".client_params", "a secret"),
        ({"metadata": {"deep": [{"apiKey": "k"}]}}, "metadata.deep[0].apiKey", "by its name"),
        ({"metadata": {"$kern": 1}}, "metadata.$kern", "no JSON object can have"),
        ({"session_state": {"x": "Bearer abcdefghijklmnop"}}, "session_state.x", "like a key"),
        ({"instructions": ["ok", "sk-abcdefghijklmnopqrst"]}, "instructions[1]", "like a key"),
        ({"dependencies": {"town": "Graz"}}, "dependencies.town", "is stored nowhere"),
        ({"output_schema": list[Invoice]}, "output_schema", "list"),
        ({"tools": [Agent("B", tools=[nested()]).as_tool()]}, "tools[0].agent.tools[0]", "inner"),
        ({"handoffs": [Agent(id="b", dependencies={"a": 1})]}, "handoffs[0].dependencies.a", "no"),
        ({"name": ""}, "id", "is missing"),
        ({"tools": [OpenAITools()]}, "tools[0]", "files of a machine"),
        (
            {"handoffs": [Agent(id="b", save_response_to_file="a")]},
            "save_response_to_file",
            "a file",
        ),
    ],
)
def test_what_cannot_be_kept_is_named(given: dict[str, Any], place: str, why: str) -> None:
    agent = Agent(**{"name": "Shop", **given})
    with pytest.raises(ConfigurationError) as raised:
        agent.to_dict()
    assert f"{place} " in str(raised.value)
    assert why in str(raised.value)


async def test_nothing_secret_is_written(tmp_path: Path) -> None:
    key = "not-a-form-that-anybody-knows"
    agent = Agent(
        "Shop",
        OpenAIChat("gpt-5.4", api_key=key),
        fallback_models=[Claude(auth_token=key)],
        parser_model=Bedrock(aws_access_key=key, aws_secret_key=key, aws_region="eu-central-1"),
        db=PostgresDb(f"postgresql://me:{key}@localhost/ai"),
    )
    written = json.dumps(agent.to_dict())
    assert key not in written
    assert "me@" not in written
    assert "eu-central-1" in written
    kept = SqliteDb(str(tmp_path / "kept.db"))
    await agent.asave(db=kept)
    assert key not in await at_rest(await kept.store())


def test_a_database_with_a_password_is_registered() -> None:
    db = PostgresDb("postgresql://me:secret@localhost/ai", "company")
    data = Agent("Shop", "openai:x", db=db).to_dict()
    with pytest.raises(ConfigurationError, match=r"of which no password is kept.*dbs=\[Postgres"):
        Agent.from_dict(data)
    other = PostgresDb("postgresql://me:secret@localhost/ai")
    with pytest.raises(ConfigurationError):
        Agent.from_dict(data, Registry(dbs=[other]))
    assert Agent.from_dict(data, Registry(dbs=[other, db])).db is db
    named = Agent("Shop", "openai:x", db=db).to_dict(Registry(values={"main": db}))
    assert Agent.from_dict(named, Registry(values={"main": other})).db is other
    memory = Agent.from_dict(Agent("Shop", "openai:x", db=InMemoryDb()).to_dict()).db
    assert isinstance(memory, InMemoryDb)


def test_what_was_set_since_is_kept() -> None:
    agent = Agent("Shop", OpenAIChat("first"), tools=[price])
    agent.model.id = "second"
    agent.instructions = "Be brief."
    agent.add_tool(refund)
    again = Agent.from_dict(agent.to_dict(), ALLOWED)
    assert (again.model.id, again.instructions, [*again.tools]) == (
        "second",
        "Be brief.",
        ["price", "refund"],
    )


# Of each keyword that only teams have what it may be given; one without a line fails the test.
OF_TEAMS: Mapping[str, object] = {
    "members": members_of_run,
    "mode": "route",
    "respond_directly": True,
    "determine_input_for_members": False,
    "share_member_interactions": True,
    "add_team_history_to_members": True,
    "num_team_history_runs": 7,
    "add_member_tools_to_context": True,
    "show_members_responses": True,
    "callable_members_cache_key": told,
}


@pytest.mark.parametrize("keyword", MembersPart.__annotations__)
def test_each_keyword_of_a_team_comes_back(keyword: str) -> None:
    options: dict[str, Any] = {"members": [HELPER], keyword: OF_TEAMS[keyword]}
    team = Team(name="Shop", model="openai:x", **options)
    again = Team.from_dict(json.loads(json.dumps(team.to_dict(ALLOWED))), ALLOWED)
    assert getattr(again, keyword) == OF_TEAMS[keyword]
    assert {*team.keywords()} == {*KEYWORDS, *OF_TEAMS}


def test_a_team_comes_back_with_its_members() -> None:
    inner = Team([Agent("Packer", "openai:x")], "Warehouse", "openai:x", mode="route")
    team = Team(
        [Agent("Clerk", "openai:x", tools=[price]), inner],
        "Shop",
        "openai:x",
        tools=[refund],
        share_member_interactions=True,
        db=SqliteDb("shop.db"),
    )
    written = json.loads(json.dumps(team.to_dict()))
    assert written["type"] == "team"
    assert [each["type"] for each in written["members"]] == ["agent", "team"]
    again = Team.from_dict(written, ALLOWED)
    assert again.to_dict() == written
    assert isinstance(again, Team)
    members: Any = again.members
    assert [(type(each), each.name) for each in members] == [(Agent, "Clerk"), (Team, "Warehouse")]
    for cls, other in ((Agent, "Team"), (Team, "Agent")):
        with pytest.raises(ConfigurationError, match=rf"write {other}\.from_dict"):
            cls.from_dict((Agent("Shop", "openai:x") if cls is Team else team).to_dict())
    by_run = Team(members_of_run, "Shop", "openai:x")
    assert Team.from_dict(by_run.to_dict(), ALLOWED).members is members_of_run


def test_agents_in_the_background_come_back() -> None:
    db = SqliteDb("shop.db")
    tools: list[Any] = [
        BackgroundAgents([HELPER]),
        Agent("Other", "openai:x").as_tool(background=True),
    ]
    written = Agent("Shop", "openai:x", tools=tools, db=db).to_dict()
    again = Agent.from_dict(written, ALLOWED)
    assert again.to_dict() == written
    assert {"start_helper", "look_at_run", "start_other"} <= {*again.tools}


def test_a_memory_manager_has_the_database_of_its_agent() -> None:
    db = PostgresDb("postgresql://me:secret@localhost/ai")
    agent = Agent("Shop", "openai:x", db=db, memory_manager=MemoryManager(db=db))
    again = Agent.from_dict(agent.to_dict(), Registry(dbs=[db]))
    assert again.db is db
    assert again.remembering == agent.remembering


def test_a_subclass_comes_back_as_itself() -> None:
    class Clerk(Agent[Any, Any]):
        pass

    assert type(Clerk.from_dict(Clerk("Clerk", "openai:x").to_dict())) is Clerk


def test_an_agent_that_holds_itself_is_refused() -> None:
    first = Agent("First", "openai:x")
    first.set_tools([Agent("Second", tools=[first.as_tool()]).as_tool()])
    with pytest.raises(ConfigurationError, match="holds itself"):
        first.to_dict()


def test_a_registry_names_each_thing_once() -> None:
    with pytest.raises(ConfigurationError, match="Two things in the registry have the name 'pric"):
        Registry(tools=[price], values={"price": refund})
    assert "price" in Registry(tools=[price], functions=[price])
    with pytest.raises(ConfigurationError, match="which has no name"):
        Registry(values={}, functions=[object()])
    with pytest.raises(ConfigurationError, match="modules must be a list"):
        Registry(modules="shop")
    with pytest.raises(ConfigurationError, match=r"no 'prize'\. Did you mean 'price'"):
        Registry(tools=[price])["prize"]


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["os:system", "kept_parts:price", "kern.tools:tool", "kept_parts:Invoice"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$kern", "path", "name", "class", "arguments", "agent", "id", "type"]),
            inner
            | st.sampled_from(["registered", "import", "object", "tool", "agent", "db", "team"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*KEYWORDS, "x", "$kern"]), HOSTILE, max_size=5))
@settings(max_examples=100, deadline=None)
def test_values_of_no_agent_are_refused(data: dict[str, object]) -> None:
    with suppress(ConfigurationError):
        Agent.from_dict({"format": 1, "type": "agent", "name": "Shop", **data}, ALLOWED)


@pytest.mark.parametrize(
    "data",
    [None, [1], "x", 5, {1: 2}, {"name": "Shop", 1: 2}, {"format": 0}, {"format": -1}],
    ids=repr,
)
def test_what_is_no_dict_of_an_agent_is_refused(data: Any) -> None:
    if isinstance(data, dict):
        data = {"format": 1, "type": "agent", **data}
    with pytest.raises(ConfigurationError):
        Agent.from_dict(data)


def reference(path: str) -> dict[str, object]:
    return {"$kern": "import", "name": path.rpartition(":")[2], "path": path}


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [reference("os:system")]},
        {"tools": [reference("kept_parts:os.getcwd")]},
        {"output_schema": reference("kept_parts:BaseModel")},
        {"tools": [reference("subprocess:getoutput")]},
        {"tools": [reference("kern.cli.main:app")]},
        {"tools": [reference("kern.extras:import_module")]},
        {"tools": [reference("kern.testing.__main__:main")]},
        {"tools": [reference("kept_parts_of_others:price")]},
        {"tools": [reference("kept_parts")]},
        {"tools": [{"$kern": "object", "class": "kern.tools.mcp:MCPTools", "arguments": {}}]},
        {"tools": [{"$kern": "object", "class": "kern.skills:LocalSkills", "arguments": {}}]},
        {"tools": [{"$kern": "object", "class": "kept_parts:Invoice", "arguments": {}}]},
        {"tools": [{"$kern": "object", "class": "kern.tools.moviepy_video:MoviePyVideoTools"}]},
        {"tools": [{"$kern": "object", "class": "kern.tools.openai:OpenAITools"}]},
        {"save_response_to_file": "/root/.bashrc"},
        {"save_response_to_file": "app.py"},
        {"output_schema": reference("builtins:eval")},
        {"output_schema": {"$kern": "type", "name": "eval"}},
        {"model": {"$kern": "object", "class": "subprocess:Popen", "arguments": {"args": "true"}}},
        {"model": {"$kern": "pickle"}},
        {"name": "Shop", "nothing": 1},
        {"format": 2},
        {"format": True},
        {"type": "workflow"},
        {"type": "team"},
    ],
)
def test_nothing_is_imported_or_made_that_is_not_allowed(given: dict[str, object]) -> None:
    data = {"format": 1, "type": "agent", "name": "Shop", **given}
    with pytest.raises(ConfigurationError):
        Agent.from_dict(data, ALLOWED)
    assert "kept_parts_of_others" not in sys.modules


def test_a_function_needs_a_registry() -> None:
    data = Agent("Shop", "openai:x", tools=[price]).to_dict()
    assert data["tools"] == [reference("kept_parts:price")]
    with pytest.raises(ConfigurationError) as raised:
        Agent.from_dict(data)
    assert "Registry(modules=['kept_parts']), or Registry(functions=[price])" in str(raised.value)
    assert [*Agent.from_dict(data, Registry(tools=[price])).tools] == ["price"]


def test_values_without_end_are_refused() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigurationError, match="without end"):
        Agent.from_dict({"format": 1, "type": "agent", "name": "x", "metadata": {"x": deep}})
    with pytest.raises(ConfigurationError, match="without end"):
        Agent("Shop", "openai:x", additional_input=[{"role": "user", "content": "a"}]).deep_copy(
            update={"callable_tools_cache_key": deep}
        ).to_dict()
