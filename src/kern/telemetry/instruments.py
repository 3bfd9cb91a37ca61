"""The metrics: those of the semantic conventions, and kern's own."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from kern.dispatch.opening import runtimes
from kern.execution.observing import everywhere

Observe: TypeAlias = Callable[[CallbackOptions], Iterable[Observation]]

# As the conventions advise.
_SECONDS = [0.01 * 2**each for each in range(14)]
_TOKENS = [4.0**each for each in range(14)]

# Runs take, and wait, from milliseconds to days.
_LONG = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400]

_CALLS = [0.0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]

_INFERENCE = "gen_ai.client.inference"
_POOL = "db.client.connection.pool.name"


class Instruments:
    """The instruments of one meter.

    Attributes:
        inference_duration: how long model calls took.
        time_to_first_chunk: after how long the first piece of a streamed answer came.
        input_tokens: what model calls were sent.
        output_tokens: what they have produced.
        cache_read: of the input, what providers had in their caches.
        cache_write: of the input, what they have put there.
        reasoning: of the output, what was reasoning.
        operation_input: what each model call was sent.
        operation_output: what each has produced.
        agent_duration: how long attempts took.
        agent_inferences: how many model calls each made.
        agent_tools: how many tool calls each made.
        tool_duration: how long tool calls took.
        runs: runs that have ended, or paused, by status.
        run_duration: from the submit of runs to their end.
        queue_wait: from the moment that runs were due to their first start.
        cost: what model calls cost.
        losses: leases that have expired.
        takeovers: attempts that went on with what another executor left in the middle.
    """

    def __init__(self, meter: Meter) -> None:
        """Make them."""
        histogram, counter = meter.create_histogram, meter.create_counter
        self.inference_duration = histogram(
            f"{_INFERENCE}.duration",
            "s",
            "How long model calls took.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.time_to_first_chunk = histogram(
            f"{_INFERENCE}.time_to_first_chunk",
            "s",
            "After how long the first piece of a streamed answer came.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        usage = f"{_INFERENCE}.usage"
        self.input_tokens = counter(
            f"{usage}.input_tokens", "{token}", "What models were sent, cached tokens included."
        )
        self.output_tokens = counter(
            f"{usage}.output_tokens", "{token}", "What models produced, reasoning included."
        )
        self.cache_read = counter(
            f"{usage}.cache_read.input_tokens", "{token}", "Input that a provider had in its cache."
        )
        self.cache_write = counter(
            f"{usage}.cache_write.input_tokens", "{token}", "Input that a provider has cached."
        )
        self.reasoning = counter(
            f"{usage}.reasoning.output_tokens", "{token}", "Output that was reasoning."
        )
        self.operation_input = histogram(
            f"{_INFERENCE}.operation.input_tokens",
            "{token}",
            "What each model call was sent.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.operation_output = histogram(
            f"{_INFERENCE}.operation.output_tokens",
            "{token}",
            "What each model call produced.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.agent_duration = histogram(
            "gen_ai.invoke_agent.duration",
            "s",
            "How long attempts at runs took.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self.agent_inferences = histogram(
            "gen_ai.invoke_agent.inference_calls",
            "{inference_call}",
            "How many model calls an attempt made.",
            explicit_bucket_boundaries_advisory=_CALLS,
        )
        self.agent_tools = histogram(
            "gen_ai.invoke_agent.tool_calls",
            "{tool_call}",
            "How many tool calls an attempt made.",
            explicit_bucket_boundaries_advisory=_CALLS,
        )
        self.tool_duration = histogram(
            "gen_ai.execute_tool.duration",
            "s",
            "How long tool calls took.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self.runs = counter("kern.runs", "{run}", "Runs that have ended, or paused.")
        self.run_duration = histogram(
            "kern.run.duration",
            "s",
            "From the submit of a run to its end.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self.queue_wait = histogram(
            "kern.run.queue_wait",
            "s",
            "From the moment that a queued run was due to its first start.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self.cost = counter("kern.usage.cost", "USD", "What model calls cost.")
        self.losses = counter("kern.run.lost_leases", "{lease}", "Leases that have expired.")
        self.takeovers = counter(
            "kern.run.takeovers",
            "{attempt}",
            "Attempts that went on with what another one left in the middle.",
        )


def observe_process(meter: Meter) -> None:
    """Have a meter look at the slots and connections of this process as it is read.

    It sees nothing while there are no observers: what a meter looks at cannot be taken from it.
    """

    def slots(at: int) -> Observe:
        return lambda _: [
            Observation(found[at], {"kern.database": name})
            for name, found in (_slots() if everywhere else {}).items()
        ]

    def most(_: CallbackOptions) -> Iterable[Observation]:
        for name, (_used, _idle, limit) in (_pools() if everywhere else {}).items():
            yield Observation(limit, {_POOL: name})

    def connections(_: CallbackOptions) -> Iterable[Observation]:
        for name, (used, idle, _limit) in (_pools() if everywhere else {}).items():
            yield Observation(used, {_POOL: name, "db.client.connection.state": "used"})
            yield Observation(idle, {_POOL: name, "db.client.connection.state": "idle"})

    gauge = meter.create_observable_up_down_counter
    gauge("kern.worker.slots", [slots(0)], "{run}", "Slots in use.")
    gauge("kern.worker.slots.limit", [slots(1)], "{run}", "Slots that there are.")
    gauge("kern.worker.waiting", [slots(2)], "{run}", "Runs that wait here for other runs.")
    gauge("db.client.connection.count", [connections], "{connection}", "Open connections.")
    gauge("db.client.connection.max", [most], "{connection}", "How many there may be.")


def _slots() -> dict[str, tuple[int, int, int]]:
    """Return by database the slots in use, those that there are, and the runs that wait."""
    found: dict[str, tuple[int, int, int]] = {}
    for each in runtimes():
        used, limit, waits = found.get(str(each.store), (0, 0, 0))
        slots = each.slots
        found[str(each.store)] = used + slots.taken, limit + slots.limit, waits + slots.waiting
    return found


def _pools() -> dict[str, tuple[int, int, int]]:
    """Return by database the connections in use, the idle ones, and how many there may be."""
    found: dict[str, tuple[int, int, int]] = {}
    for each in runtimes():
        if (pool := each.store.pool_use()) is not None:
            used, idle, limit = found.get(str(each.store), (0, 0, 0))
            found[str(each.store)] = used + pool.used, idle + pool.idle, limit + pool.limit
    return found
