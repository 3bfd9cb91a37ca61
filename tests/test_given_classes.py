"""Who gives a class where an object of it belongs is told so, and what to write, at once."""

from collections.abc import Callable
from typing import Any

import pytest

from kern import Agent, InMemoryDb, SqliteDb
from kern.compression.manager import CompressionManager
from kern.embedders.openai import OpenAIEmbedder
from kern.errors import ConfigurationError
from kern.guardrails import PIIDetectionGuardrail
from kern.knowledge import Knowledge
from kern.memory import MemoryManager
from kern.models.openai import OpenAIChat
from kern.session import SessionSummaryManager
from kern.skills import LocalSkills, Skills
from kern.team import Team
from kern.testing import ScriptedModel
from kern.tools.mcp import MCPTools
from kern.tools.reasoning import ReasoningTools
from kern.vectordb.sqlite import SqliteVec


def agent(**options: Any) -> Agent:
    return Agent("Tester", ScriptedModel(), **{"db": InMemoryDb(), **options})


GIVEN: list[tuple[type, Callable[[Any], object]]] = [
    (OpenAIChat, lambda given: agent(parser_model=given, output_schema=int)),
    (OpenAIChat, lambda given: agent(fallback_models=[given])),
    (SqliteDb, lambda given: agent(db=given)),
    (SqliteDb, lambda given: MemoryManager(db=given)),
    (MemoryManager, lambda given: agent(memory_manager=given)),
    (
        SessionSummaryManager,
        lambda given: agent(enable_session_summaries=True, session_summary_manager=given),
    ),
    (CompressionManager, lambda given: agent(compression_manager=given)),
    (PIIDetectionGuardrail, lambda given: agent(pre_hooks=[given])),
    (ReasoningTools, lambda given: agent(tools=[given])),
    (MCPTools, lambda given: agent(tools=[given])),
    (Agent, lambda given: agent(reasoning_agent=given)),
    (Agent, lambda given: agent(handoffs=[given])),
    (Agent, lambda given: Team([given], model=ScriptedModel())),
    (Skills, lambda given: agent(skills=given)),
    (LocalSkills, lambda given: Skills(loaders=[given])),
    (Knowledge, lambda given: agent(knowledge=given)),
    (SqliteVec, lambda given: Knowledge(vector_db=given)),
    (OpenAIEmbedder, lambda given: SqliteVec(":memory:", embedder=given)),
]


@pytest.mark.parametrize(("given", "to"), GIVEN)
def test_a_class_is_told_from_an_object_of_it(given: type, to: Callable[[Any], object]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        to(given)
    name = given.__name__
    assert f"the class {name}; write {name}(...)" in str(raised.value)
