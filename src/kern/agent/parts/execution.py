"""How the runs of an agent execute, and what they may use."""

from collections.abc import Sequence

from kern.agent.checks import check_flag, check_list
from kern.agent.options import check_limits, check_policy
from kern.agent.parts.part import Part
from kern.dispatch.submission import SessionPolicy
from kern.errors import ConfigurationError
from kern.execution.middleware import Middleware
from kern.execution.retrying import Retrying
from kern.models.base import Model
from kern.models.fallback import FallbackConfig
from kern.models.fallback import fallback_config as as_config
from kern.models.retries import check_delay
from kern.run.numbers import check_count, check_seconds
from kern.run.usage import UsageLimits


class ExecutionPart(Part):
    """How runs execute, and what they may use.

    Attributes:
        max_turns: how often a run may ask the model, over all its attempts; then it ends in ERROR.
            None for any number.
        usage_limits: how much a run may use, over all its attempts and with the runs that its
            tools start; then it ends in ERROR.
        middleware: what is done around its runs, model calls and tool calls, the first outermost.
        live: have the provider send each answer piece by piece though nobody reads the run yet, so
            that a reader who comes in the middle of one has its text so far at once. Without it
            such a reader waits for that answer, and sees the next one as it comes. It takes more
            processor time, the more the longer the answers are.
        timeout: the time limit of a run in seconds, see :meth:`arun`, as for the next two.
        max_attempts: by default an attempt whose model fails is the last.
        session_policy: by default the background runs of a session execute one at a time.
        max_concurrent_runs: how many background runs execute at once, in all processes that say
            the same; by default any number.
        max_concurrent_runs_per_user: how many runs with the same user_id; by default any number.
            Those who wait for their user keep no others from starting.
        max_queued_runs: how many background runs may be due and not have begun; one more is
            refused with QueueFullError.
        fallback_models: who is asked in turn, each model or text, where the model has failed after
            its repetitions; the next call of the run asks the model first again.
        fallback_config: the same by the kind of error.
        retries: how often a run is tried again whose model has failed of what may pass, beyond the
            repetitions of the call itself; nothing that it has done is done again. In the
            background the same as a ``max_attempts`` of one more.
        delay_between_retries: the seconds before that; longer where the provider asks for it.
        exponential_backoff: double them each time, up to five minutes.
        raise_on_error: False to return a foreground run that failed, with its error, instead of
            raising it.
        stream: whether the methods that run it stream, where they are not told.
        stream_events: the same for every event.
    """

    max_turns: int | None = 100
    usage_limits: UsageLimits | None = None
    middleware: Sequence[Middleware] = ()
    live: bool = False
    timeout: float | None = None
    max_attempts: int | None = None
    session_policy: SessionPolicy = "queue"
    max_concurrent_runs: int | None = None
    max_concurrent_runs_per_user: int | None = None
    max_queued_runs: int | None = None
    fallback_models: Sequence[Model | str] | None = None
    fallback_config: FallbackConfig | None = None
    retries: int = 0
    delay_between_retries: float = 1
    exponential_backoff: bool = False
    raise_on_error: bool = True
    stream: bool = False
    stream_events: bool = False

    fallback: FallbackConfig | None = None
    retrying: Retrying | None = None
    attempts: int | None = None

    def _build(self) -> None:
        given = self.__dict__
        for name in _COUNTS:
            if (value := given.get(name)) is not None:
                check_count(name, value)
        if self.usage_limits is not None:
            check_limits(self.usage_limits)
        given["middleware"] = tuple(
            check_list("middleware", self.middleware, Middleware, "middleware=[Timed()]")
        )
        if self.timeout is not None:
            check_seconds("timeout", self.timeout)
        given["session_policy"] = check_policy(self.session_policy)
        for flag in ("live", "exponential_backoff", "raise_on_error"):
            check_flag(flag, getattr(self, flag))
        check_count("retries", self.retries, ConfigurationError, least=0)
        check_delay(self.delay_between_retries)
        given["attempts"] = self.max_attempts
        if self.max_attempts is None and self.retries:
            given["attempts"] = self.retries + 1
        given["retrying"] = (
            Retrying(self.retries, self.delay_between_retries, self.exponential_backoff)
            if self.retries
            else None
        )
        given["fallback"] = as_config(self.fallback_models, self.fallback_config)


_COUNTS = (
    *("max_turns", "max_attempts", "max_queued_runs"),
    *("max_concurrent_runs", "max_concurrent_runs_per_user"),
)
