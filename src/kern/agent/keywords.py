"""The keywords of an agent and of its runs, for signatures that differ in others only."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from kern.agent.as_tool import SubAgent
from kern.agent.handoff import Handoff
from kern.db.database import Database
from kern.dispatch.submission import SessionPolicy
from kern.execution.answering import FollowupConfig
from kern.execution.middleware import Middleware
from kern.execution.retriever import KnowledgeBase
from kern.execution.spec import HistoryAgents
from kern.media import Audio, File, Image, Video
from kern.models.base import Model, ToolChoice
from kern.models.fallback import FallbackConfig
from kern.run.event import RunEvent
from kern.run.message import Message
from kern.run.overrides import Overrides
from kern.run.usage import UsageLimits
from kern.tools.collect import AnyTool

if TYPE_CHECKING:
    from kern.compression.compaction import Compaction
    from kern.compression.manager import CompressionManager
    from kern.memory.manager import MemoryManager
    from kern.skills.skills import Skills


class AgentOptions(TypedDict, total=False):
    """The keywords of :class:`kern.agent.Agent`, but for those that say its types."""

    id: str | None
    user_id: str | None
    session_id: str | None
    db: Database | None
    metadata: Mapping[str, object] | None
    debug_mode: bool
    debug_level: int
    description: str | None
    role: str | None
    instructions: str | Sequence[str] | Callable[..., object] | None
    system_message: str | Message | Callable[..., object] | None
    system_message_role: str
    expected_output: str | None
    additional_context: str | None
    additional_input: Sequence[str | Message | Mapping[str, object]] | None
    markdown: bool
    add_name_to_context: bool
    add_datetime_to_context: bool
    datetime_format: str | None
    timezone_identifier: str | None
    add_location_to_context: bool | str | Callable[..., object]
    resolve_in_context: bool
    use_instruction_tags: bool
    build_context: bool
    build_user_context: bool
    user_message_role: str
    add_dependencies_to_context: bool
    input_schema: object
    knowledge: KnowledgeBase | Callable[..., object] | None
    knowledge_retriever: Callable[..., object] | None
    search_knowledge: bool
    add_knowledge_to_context: bool
    knowledge_filters: Mapping[str, object] | Sequence[object] | None
    enable_agentic_knowledge_filters: bool
    references_format: Literal["json", "yaml"]
    add_search_knowledge_instructions: bool
    update_knowledge: bool
    add_history_to_context: bool
    num_history_runs: int | None
    num_history_messages: int | None
    max_tool_calls_from_history: int | None
    history_agents: HistoryAgents
    session_state: Mapping[str, object] | None
    add_session_state_to_context: bool
    enable_agentic_state: bool
    overwrite_db_session_state: bool
    search_past_sessions: bool
    num_past_sessions_to_search: int
    num_past_session_runs_in_search: int
    enable_session_summaries: bool
    add_session_summary_to_context: bool | None
    session_summary_manager: object | None
    memory_manager: "MemoryManager | None"
    update_memory_on_run: bool
    enable_user_memories: bool
    enable_agentic_memory: bool
    add_memories_to_context: bool | None
    read_chat_history: bool
    read_tool_call_history: bool
    introduction: str | None
    store_media: bool
    store_tool_messages: bool
    store_history_messages: bool
    store_events: bool
    events_to_skip: Sequence[RunEvent | str] | None
    save_response_to_file: str | None
    skills: "Skills | None"
    tools: Sequence[AnyTool] | Callable[..., object]
    tool_choice: ToolChoice | None
    tool_call_limit: int | None
    tool_hooks: Sequence[Callable[..., object]] | None
    parallel_tool_calls: bool
    send_media_to_model: bool
    handoffs: Sequence[SubAgent | Handoff] | None
    output_retries: int
    structured_outputs: bool | None
    use_json_mode: bool
    parse_response: bool
    parser_model: Model | str | None
    parser_model_prompt: str | None
    output_model: Model | str | None
    output_model_prompt: str | None
    followups: bool | FollowupConfig
    num_followups: int
    followup_model: Model | str | None
    reasoning_model: Model | str | None
    reasoning_agent: SubAgent | None
    reasoning: bool
    reasoning_min_steps: int
    reasoning_max_steps: int
    compress_tool_results: bool
    compression_manager: "CompressionManager | None"
    compaction: "bool | Compaction"
    pre_hooks: Sequence[object] | None
    post_hooks: Sequence[object] | None
    max_turns: int | None
    usage_limits: UsageLimits | None
    middleware: Sequence[Middleware]
    live: bool
    timeout: float | None
    max_attempts: int | None
    session_policy: SessionPolicy
    max_concurrent_runs: int | None
    max_concurrent_runs_per_user: int | None
    max_queued_runs: int | None
    fallback_models: Sequence[Model | str] | None
    fallback_config: FallbackConfig | None
    retries: int
    delay_between_retries: float
    exponential_backoff: bool
    raise_on_error: bool
    stream: bool
    stream_events: bool
    telemetry: bool
    cache_session: bool
    checkpoint: str | None
    cache_callables: bool
    callable_tools_cache_key: object | None
    callable_knowledge_cache_key: object | None


class BesideOptions(TypedDict, total=False):
    """Those of a run's keywords that its executor needs, beside the messages."""

    session_state: Mapping[str, object] | None
    knowledge_filters: Mapping[str, object] | Sequence[object] | None
    add_history_to_context: bool | None
    add_dependencies_to_context: bool | None
    add_session_state_to_context: bool | None
    debug_mode: bool | None
    overrides: Overrides | None


class RunOptions(BesideOptions, total=False):
    """The keywords of :meth:`kern.agent.Agent.arun`, but for those that say what it returns."""

    stream_events: bool
    background: bool
    run_id: str | None
    session_id: str | None
    user_id: str | None
    metadata: dict[str, object] | None
    timeout: float | None
    usage_limits: UsageLimits | None
    priority: int
    run_at: datetime | None
    max_attempts: int | None
    session_policy: SessionPolicy | None
    webhook: str | None
    connection: object | None
    images: Sequence[Image] | None
    audio: Sequence[Audio] | None
    videos: Sequence[Video] | None
    files: Sequence[File] | None
    dependencies: Mapping[str, object] | None
    raise_on_error: bool | None
    store: bool


KEYWORDS = ("name", "model", *AgentOptions.__annotations__, "output_schema", "dependencies")
"""Every keyword of an agent."""
