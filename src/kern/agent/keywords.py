"""The keywords of an agent and of its runs, for signatures that differ in others only."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypedDict

from kern.db.database import Database
from kern.dispatch.submission import SessionPolicy
from kern.execution.answering import FollowupConfig
from kern.execution.middleware import Middleware
from kern.execution.spec import HistoryAgents
from kern.media import Audio, File, Image, Video
from kern.models.base import Model, ToolChoice
from kern.models.fallback import FallbackConfig
from kern.run.usage import UsageLimits
from kern.tools import Tool, Toolset


class AgentOptions(TypedDict, total=False):
    """The keywords of :class:`kern.agent.Agent`, but for those that say its types."""

    id: str | None
    description: str | None
    instructions: str | Sequence[str] | None
    tools: Sequence[Tool | Toolset | Callable[..., object]]
    tool_choice: ToolChoice | None
    tool_call_limit: int | None
    max_turns: int | None
    usage_limits: UsageLimits | None
    middleware: Sequence[Middleware]
    live: bool
    db: Database | None
    store_media: bool
    send_media_to_model: bool
    add_history_to_context: bool
    num_history_runs: int
    history_agents: HistoryAgents
    timeout: float | None
    max_attempts: int | None
    session_policy: SessionPolicy
    max_concurrent_runs: int | None
    max_concurrent_runs_per_user: int | None
    max_queued_runs: int | None
    fallback_models: Sequence[Model | str] | None
    fallback_config: FallbackConfig | None
    input_schema: object
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


class RunOptions(TypedDict, total=False):
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
