"""Who is measured, what, and how much of it."""

from collections.abc import Mapping
from dataclasses import dataclass

KERN = "kern_postgres"
"""The contender that all others are compared with."""

HANDWRITTEN = "handwritten"
"""The program that is made for the one purpose."""


@dataclass(frozen=True)
class Entry:
    """A contender, as the driver knows it.

    Attributes:
        name: its module in ``bench.contenders``.
        title: what the tables call it.
        environment: its virtual environment is named after this; so are its requirements, in
            ``bench/contenders``, but for kern's, which has those of ``requirements.lock``.
        packages: whose versions the report tells.
        imports: what a user imports to define an agent.
        construct: how one is made.
        without: what it cannot do: the reason by figure.
    """

    name: str
    title: str
    environment: str
    packages: tuple[str, ...]
    imports: str
    construct: str
    without: Mapping[str, str]


def _all(reason: str, *figures: str) -> dict[str, str]:
    return dict.fromkeys(figures, reason)


_ACROSS = ("fleet", "cancel_elsewhere", "events", "take_over")
_CALLS = _all("it has no background runs", "submit", "cancel_here", "poll", *_ACROSS, "readers")


def _kern(
    database: str, title: str, module: str, call: str, without: Mapping[str, str] | None = None
) -> Entry:
    return Entry(
        f"kern_{database}",
        title,
        "kern",
        ("kern-agents", "openai", "asyncpg", "pgqueuer"),
        "from kern.agent import Agent\n"
        f"from kern.db.{module}\n"
        "from kern.models.openai import OpenAIResponses",
        f"Agent('Bench', OpenAIResponses('gpt-5-mini'), db={call})",
        without or {},
    )


_URL = "postgresql://ai:ai@localhost/ai"

ENTRIES = (
    _kern("postgres", "kern, PostgreSQL", "postgres import PostgresDb", f"PostgresDb('{_URL}')"),
    _kern(
        "sqlite",
        "kern, SQLite",
        "sqlite import SqliteDb",
        "SqliteDb('kern.db')",
        _all("measured on PostgreSQL", *_ACROSS, "readers"),
    ),
    _kern(
        "memory",
        "kern, memory",
        "in_memory import InMemoryDb",
        "InMemoryDb()",
        _all("what is in memory is in one process", *_ACROSS)
        | _all("nothing but runs makes its rows", "poll_1000", "poll_10000")
        | _all("measured on PostgreSQL", "readers"),
    ),
    Entry(
        HANDWRITTEN,
        "written by hand, PostgreSQL",
        "kern",
        ("aiohttp", "asyncpg"),
        "import aiohttp, asyncpg",
        "",
        _all("it is made for submit, call and answer", "cancel_here", "poll", *_ACROSS, "readers")
        | _all("there is none to make", "construct"),
    ),
    Entry(
        "agno_postgres",
        "agno, PostgreSQL",
        "agno_postgres",
        ("agno", "openai", "SQLAlchemy", "psycopg"),
        "from agno.agent import Agent\n"
        "from agno.db.postgres import PostgresDb\n"
        "from agno.models.openai import OpenAIResponses",
        "Agent(name='Bench', model=OpenAIResponses(id='gpt-5-mini'), "
        f"db=PostgresDb(db_url='{_URL.replace('://', '+psycopg://')}'))",
        _all("a run executes in the process that submits it", "fleet", "take_over")
        | _all("a cancel is known in its process only, or needs Redis", "cancel_elsewhere")
        | _all("its events are read over its HTTP server", "events", "readers")
        | _all("its session of 1,000 tells enough", "poll_10000"),
    ),
    Entry(
        "pydantic_dbos",
        "pydantic-ai on DBOS",
        "pydantic_dbos",
        ("pydantic-ai-slim", "dbos", "openai", "psycopg"),
        "from dbos import DBOS\n"
        "from pydantic_ai import Agent\n"
        "from pydantic_ai.durable_exec.dbos import DBOSDurability\n"
        "from pydantic_ai.models.openai import OpenAIResponsesModel",
        "Agent(OpenAIResponsesModel('gpt-5-mini'), name=f'bench-{number}', "
        "capabilities=[DBOSDurability()])",
        _all("it has no sessions", "poll_1000", "poll_10000")
        | _all("a workflow's events are what its author writes", "events", "readers"),
    ),
    Entry(
        "langgraph_postgres",
        "langgraph, PostgreSQL",
        "langgraph_postgres",
        ("langgraph", "langchain", "langchain-openai", "langgraph-checkpoint-postgres", "openai"),
        "from langchain.agents import create_agent\n"
        "from langchain_openai import ChatOpenAI\n"
        "from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver",
        "create_agent(ChatOpenAI(model='gpt-5-mini', use_responses_api=True))",
        _CALLS,
    ),
    Entry(
        "openai_agents",
        "openai-agents, memory",
        "openai_agents",
        ("openai-agents", "openai"),
        "from agents import Agent, Runner",
        "Agent(name='Bench', model='gpt-5-mini')",
        _CALLS,
    ),
    Entry(
        "bare",
        "bare openai client",
        "bare",
        ("openai",),
        "from openai import AsyncOpenAI",
        "AsyncOpenAI(api_key='none')",
        _CALLS,
    ),
    Entry(
        "bare_aiohttp",
        "bare openai client, aiohttp",
        "bare",
        ("openai", "aiohttp"),
        "from openai import AsyncOpenAI, DefaultAioHttpClient",
        "AsyncOpenAI(api_key='none', http_client=DefaultAioHttpClient())",
        _CALLS,
    ),
)


@dataclass(frozen=True)
class Job:
    """What one process of a contender measures.

    Attributes:
        figures: what it measures, in order.
        role: whether it executes the runs that it submits.
        rounds: in how many rounds at most, in a whole and in a quick measurement.
        only: who alone does it; nobody named is all.
        quick_only: who alone does it in a quick measurement.
    """

    figures: tuple[str, ...]
    role: str = "all"
    rounds: tuple[int, int] = (100, 100)
    only: tuple[str, ...] = ()
    quick_only: tuple[str, ...] = ()


JOBS = (
    Job(("latency", "throughput", "cancel_here", "poll")),
    Job(("fleet", "cancel_elsewhere", "events", "take_over"), role="submit", rounds=(2, 1)),
    Job(("memory",), rounds=(1, 1), quick_only=(KERN, "bare")),
    Job(("poll_table",), rounds=(1, 1), only=(KERN,)),
    Job(("readers",), only=(KERN,)),
    Job(("steps",), only=(KERN, HANDWRITTEN)),
)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        quick: whether it is the short one.
        rounds: how often everything is measured, in turn.
        minutes: how long it takes on 2 cores, once the environments are built.
        imports: fresh processes that import, a round.
        import_rounds: in how many rounds at most.
        scale: what the contenders are told.
    """

    quick: bool
    rounds: int
    minutes: float
    imports: int
    import_rounds: int
    scale: dict[str, float]

    def jobs(self, number: int, contender: str) -> list[Job]:
        """Return the jobs of a contender in a round, counted from 0."""
        chosen = []
        for job in JOBS:
            only = job.quick_only if self.quick and job.quick_only else job.only
            if number < job.rounds[self.quick] and (not only or contender in only):
                chosen.append(job)
        return chosen


WHOLE = Plan(
    quick=False,
    rounds=5,
    minutes=18,
    imports=2,
    import_rounds=5,
    scale={
        "latency": 60,  # submits, one after the other
        "seconds": 2,  # of throughput, and of polls at most
        "cancel": 20,
        "hold": 3,  # seconds that the model's answer takes where a run is cancelled
        "poll": 200,
        "events": 3,  # runs of 20 tool calls
        "memory": 5000,  # runs in flight
        "memory_seconds": 15,  # to submit them
        "table": 1_000_000,  # finished runs
        "streams": 50,  # runs that are read
        "readers": 4,  # of each
        "pieces": 50,  # that each streams within a second
        "steps": 400,  # of one run
    },
)

QUICK = Plan(
    quick=True,
    rounds=2,
    minutes=4,
    imports=1,
    import_rounds=1,
    scale={
        "latency": 20,
        "seconds": 1,
        "cancel": 8,
        "hold": 1,
        "poll": 50,
        "events": 1,
        "memory": 1000,
        "memory_seconds": 3,
        "table": 100_000,
        "streams": 50,
        "readers": 4,
        "pieces": 50,
        "steps": 400,
    },
)
