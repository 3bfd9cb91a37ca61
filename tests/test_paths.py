"""Every name is where users of this API look for it."""

from importlib import import_module

import pytest

from kern.run.event import RunEvent

EVENTS = [name if (name := kind.value) == "CustomEvent" else f"{name}Event" for kind in RunEvent]

PATHS = {
    "kern.agent": [
        *("Agent", "AgentSession", "FallbackConfig", "FollowupConfig", "Function", "Handoff"),
        "Message",
        *("RunEvent", "RunInput", "RunOutput", "RunOutputEvent", "Toolkit", *EVENTS),
    ],
    "kern.agent.agent": ["Agent"],
    "kern.compression.manager": ["CompressionManager"],
    "kern.reasoning.step": ["NextAction", "ReasoningStep", "ReasoningSteps"],
    "kern.skills": ["LocalSkills", "Skill", "Skills"],
    "kern.approval": ["ApprovalType", "approval"],
    "kern.db.base": ["SessionType"],
    "kern.db.in_memory": ["InMemoryDb"],
    "kern.db.postgres": ["AsyncPostgresDb", "PostgresDb"],
    "kern.db.sqlite": ["AsyncSqliteDb", "SqliteDb"],
    "kern.exceptions": [
        *(
            "ApprovalRequired",
            "CheckTrigger",
            "ContextWindowExceededError",
            "InputCheckError",
            "ModelRetry",
        ),
        *("ModelAuthenticationError", "ModelProviderError", "ModelRateLimitError"),
        *("OutputCheckError", "RetryAgentRun", "RunCancelledException", "StopAgentRun"),
    ],
    "kern.guardrails": [
        *("BaseGuardrail", "OpenAIModerationGuardrail", "PIIDetectionGuardrail"),
        "PromptInjectionGuardrail",
    ],
    "kern.guardrails.base": ["BaseGuardrail"],
    "kern.hooks": ["hook"],
    "kern.media": ["Audio", "File", "Image", "Video"],
    "kern.team": ["Team"],
    "kern.team.team": ["Team"],
    "kern.memory": ["MemoryManager", "UserMemory"],
    "kern.memory.manager": ["MemoryManager"],
    "kern.metrics": [
        *("MessageMetrics", "Metrics", "ModelMetrics", "RunMetrics", "SessionMetrics"),
        "ToolCallMetrics",
    ],
    "kern.models.anthropic": ["Claude"],
    "kern.models.base": ["Model"],
    "kern.models.fallback": ["FallbackConfig"],
    "kern.models.google": ["Gemini"],
    "kern.models.message": ["Message"],
    "kern.models.openai": ["OpenAIChat", "OpenAIResponses"],
    "kern.models.openai.like": ["OpenAILike"],
    "kern.models.response": ["ToolExecution"],
    "kern.models.utils": ["get_model"],
    "kern.run": [
        *("CancellationStage", "RunContext", "RunStatus", "get_cancellation_manager"),
        "set_cancellation_manager",
    ],
    "kern.run.agent": ["RunEvent", "RunInput", "RunOutput", "RunOutputEvent", *EVENTS],
    "kern.run.base": ["RunContext", "RunStatus"],
    "kern.run.cancel": [
        *("acancel_run", "acleanup_run", "aget_active_runs", "ais_cancelled", "aregister_run"),
        *("araise_if_cancelled", "cancel_run", "cleanup_run", "get_active_runs", "is_cancelled"),
        *("get_cancellation_manager", "raise_if_cancelled", "register_run"),
        "set_cancellation_manager",
    ],
    "kern.run.cancellation_management.base": ["BaseRunCancellationManager"],
    "kern.run.requirement": ["RunRequirement"],
    "kern.session": ["AgentSession", "SessionSummary", "SessionSummaryManager"],
    "kern.session.summary": ["SessionSummary", "SessionSummaryManager"],
    "kern.tools": ["Function", "FunctionCall", "Toolkit", "tool"],
    "kern.tools.duckduckgo": ["DuckDuckGoTools"],
    "kern.tools.function": ["Function", "FunctionCall", "ToolResult", "UserInputField"],
    "kern.tools.hackernews": ["HackerNewsTools"],
    "kern.tools.mcp": ["MCPTools", "MultiMCPTools"],
    "kern.tools.reasoning": ["ReasoningTools"],
    "kern.tools.toolkit": ["Toolkit"],
    "kern.tools.user_control_flow": ["UserControlFlowTools"],
    "kern.tools.user_feedback": ["UserFeedbackTools"],
    "kern.tools.websearch": ["WebSearchTools"],
    "kern.tools.wikipedia": ["WikipediaTools"],
    "kern.tools.yfinance": ["YFinanceTools"],
    "kern.utils.audio": ["write_audio_to_file"],
    "kern.utils.log": [
        *("configure_kern_logging", "configure_logging", "log_debug", "log_error", "log_exception"),
        *("log_info", "log_warning", "logger", "set_log_level_to_debug", "set_log_level_to_info"),
        "use_agent_logger",
    ],
    "kern.utils.pprint": ["apprint_run_response", "pprint_run_response"],
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PATHS.items() for name in names]
)
def test_a_name_is_where_users_look_for_it(module: str, name: str) -> None:
    assert getattr(import_module(module), name) is not None


def test_there_is_a_class_for_the_events_of_each_kind() -> None:
    found = import_module("kern.run.agent")
    for kind, name in zip(RunEvent, EVENTS, strict=True):
        assert issubclass(getattr(found, name), found.RunOutputEvent), kind
