"""The tables in SQLite: made and migrated on first use, forward only. Moments are seconds."""

import sqlite3

from kern.errors import SchemaVersionError

# One script a version; what has been released is never changed, only added to. An index ends
# with the position of the run anyway, so none names it.
MIGRATIONS = (
    """
CREATE TABLE "{table}" (
    session_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    user_id TEXT,
    name TEXT,
    session_state TEXT,
    state_version INTEGER NOT NULL DEFAULT 0,
    metadata TEXT,
    lock_run_id TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE "{table}_runs" (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    session_id TEXT,
    agent_id TEXT,
    user_id TEXT,
    parent_run_id TEXT,
    status TEXT NOT NULL CHECK (
        status IN ('PENDING', 'RUNNING', 'PAUSED', 'COMPLETED', 'ERROR', 'CANCELLED')),
    attempt INTEGER NOT NULL DEFAULT 0,
    input TEXT,
    output TEXT,
    error TEXT,
    error_kind TEXT,
    usage TEXT,
    metadata TEXT,
    requirements TEXT,
    model TEXT,
    journal_version INTEGER NOT NULL DEFAULT 1,
    refusals INTEGER NOT NULL DEFAULT 0,
    refused_at REAL,
    refusal TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    run_at REAL,
    due_at REAL,
    timeout REAL,
    max_attempts INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    ordered INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    concurrency_key TEXT,
    counted INTEGER NOT NULL DEFAULT 0,
    streamed INTEGER NOT NULL DEFAULT 0,
    executor TEXT,
    dispatched_at REAL,
    lease_until REAL,
    cancel_requested_at REAL,
    webhook TEXT,
    traceparent TEXT,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL
);
CREATE INDEX "{table}_runs_session" ON "{table}_runs" (session_id);
CREATE INDEX "{table}_runs_agent" ON "{table}_runs" (agent_id);
CREATE INDEX "{table}_runs_user" ON "{table}_runs" (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX "{table}_runs_status" ON "{table}_runs" (status);
CREATE INDEX "{table}_runs_created" ON "{table}_runs" (created_at);
CREATE INDEX "{table}_runs_parent" ON "{table}_runs" (parent_run_id)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX "{table}_runs_waiting" ON "{table}_runs" (session_id) WHERE waiting;
CREATE INDEX "{table}_runs_limit" ON "{table}_runs"
    (concurrency_key, parent_run_id IS NULL, priority DESC)
    WHERE concurrency_key IS NOT NULL;
CREATE INDEX "{table}_runs_counted" ON "{table}_runs" (agent_id, user_id)
    WHERE counted AND status = 'RUNNING';
CREATE INDEX "{table}_runs_due" ON "{table}_runs" (agent_id, due_at) WHERE status = 'PENDING';
CREATE INDEX "{table}_runs_queue" ON "{table}_runs"
    (agent_id, parent_run_id IS NULL, priority DESC)
    WHERE status = 'PENDING' AND due_at IS NOT NULL;
CREATE INDEX "{table}_runs_lease" ON "{table}_runs" (lease_until) WHERE status = 'RUNNING';
CREATE INDEX "{table}_runs_pending_cancel" ON "{table}_runs" (created_at)
    WHERE session_id IS NULL;
CREATE TABLE "{table}_run_events" (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
CREATE TABLE "{table}_webhooks" (
    delivery_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due_at REAL,
    delivered_at REAL,
    given_up_at REAL,
    error TEXT,
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX "{table}_webhooks_due" ON "{table}_webhooks" (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX "{table}_webhooks_run" ON "{table}_webhooks" (run_id);
CREATE TABLE "{table}_processes" (
    executor TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    agents TEXT NOT NULL,
    version TEXT NOT NULL,
    slots INTEGER,
    executing INTEGER NOT NULL,
    started_at REAL NOT NULL,
    beat_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE "{table}_tick" (
    swept_at REAL NOT NULL,
    quiet_until REAL NOT NULL,
    quiet_times INTEGER NOT NULL
);
INSERT INTO "{table}_tick" VALUES (0, 0, 0);
CREATE TABLE "{table}_blobs" (
    run_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run_id, hash, chunk)
);
CREATE TABLE "{table}_schedules" (
    name TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    input TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    missed TEXT NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    session_id TEXT,
    user_id TEXT,
    metadata TEXT,
    paused INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    last_at REAL,
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX "{table}_schedules_next" ON "{table}_schedules" (next_at) WHERE NOT paused
""",
    # A column that is added cannot be without a default; no row is written with these.
    """
ALTER TABLE "{table}_runs" ADD COLUMN usage_limits TEXT;
ALTER TABLE "{table}_run_events" ADD COLUMN event INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "{table}_run_events" ADD COLUMN skippable INTEGER NOT NULL DEFAULT 0;
UPDATE "{table}_run_events" SET event = seq;
ALTER TABLE "{table}_processes" ADD COLUMN heartbeat REAL;
CREATE INDEX "{table}_user" ON "{table}" (user_id) WHERE user_id IS NOT NULL
""",
    # Everybody's budgets have an empty user. A row without limits only counts: everybody's hold
    # for its user. The form of an answer is a run's where it is not its agent's.
    """
CREATE TABLE "{table}_budgets" (
    user_id TEXT NOT NULL,
    per TEXT NOT NULL CHECK (per IN ('hour', 'day', 'week', 'month')),
    cost REAL,
    tokens INTEGER,
    starts_at REAL,
    used_cost REAL NOT NULL DEFAULT 0,
    used_tokens INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, per)
) WITHOUT ROWID;
ALTER TABLE "{table}_runs" ADD COLUMN output_schema TEXT
""",
    # An index for every list of sessions: of all, an agent, a user, those that have a name.
    """
ALTER TABLE "{table}" ADD COLUMN summary TEXT;
ALTER TABLE "{table}" ADD COLUMN data TEXT;
CREATE INDEX "{table}_created" ON "{table}" (created_at);
CREATE INDEX "{table}_agent" ON "{table}" (agent_id, created_at);
DROP INDEX "{table}_user";
CREATE INDEX "{table}_user" ON "{table}" (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX "{table}_named" ON "{table}" (created_at) WHERE name IS NOT NULL;
-- A key is JSON text, and without a value where it was deleted. The position is that of the run
-- that has changed it last; 0 where it is as new sessions of its agent begin.
CREATE TABLE "{table}_states" (
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (session_id, key)
) WITHOUT ROWID
""",
    # For the pauses that expire, the runs in whose place others stand, and every list of approvals:
    # of all, a status, a run, an agent, a user.
    """
ALTER TABLE "{table}_runs" ADD COLUMN foreground INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "{table}_runs" ADD COLUMN lineage TEXT;
ALTER TABLE "{table}_runs" ADD COLUMN replaced_by TEXT;
ALTER TABLE "{table}_runs" ADD COLUMN expires_at REAL;
CREATE INDEX "{table}_runs_expires" ON "{table}_runs" (expires_at)
    WHERE status = 'PAUSED' AND expires_at IS NOT NULL;
CREATE INDEX "{table}_runs_replaced" ON "{table}_runs" (position) WHERE replaced_by IS NOT NULL;
CREATE TABLE "{table}_approvals" (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    requirement_id TEXT,
    session_id TEXT,
    agent_id TEXT,
    team_id TEXT,
    user_id TEXT,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    approval_type TEXT NOT NULL CHECK (approval_type IN ('required', 'audit')),
    pause_type TEXT NOT NULL,
    strict INTEGER NOT NULL DEFAULT 0,
    tool_name TEXT,
    tool_args TEXT,
    source_type TEXT NOT NULL DEFAULT 'agent',
    source_name TEXT,
    requirements TEXT,
    context TEXT,
    resolution_data TEXT,
    resolved_by TEXT,
    resolved_at REAL,
    run_status TEXT,
    schedule_id TEXT,
    schedule_run_id TEXT,
    expires_at REAL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX "{table}_approvals_created" ON "{table}_approvals" (created_at, id);
CREATE INDEX "{table}_approvals_status" ON "{table}_approvals" (status, created_at, id);
CREATE INDEX "{table}_approvals_run" ON "{table}_approvals" (run_id);
CREATE INDEX "{table}_approvals_agent" ON "{table}_approvals" (agent_id, created_at, id);
CREATE INDEX "{table}_approvals_user" ON "{table}_approvals" (user_id, created_at, id)
    WHERE user_id IS NOT NULL
""",  # What has ended and is unstored yet is in the index only until it is erased. And an index for
    # every list of keys: of all, a user.
    """
ALTER TABLE "{table}_runs" ADD COLUMN unstored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "{table}_runs" ADD COLUMN erased_at REAL;
CREATE INDEX "{table}_runs_unstored" ON "{table}_runs" (finished_at)
    WHERE unstored AND finished_at IS NOT NULL;
CREATE TABLE "{table}_keys" (
    key_id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT,
    user_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    agents TEXT,
    created_at REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL,
    last_used_at REAL
) WITHOUT ROWID;
CREATE INDEX "{table}_keys_created" ON "{table}_keys" (created_at, key_id);
CREATE INDEX "{table}_keys_user" ON "{table}_keys" (user_id, created_at, key_id)
""",
    # A run enters the index with its end. The span of figures is in seconds; the agent without a
    # name has the samples.
    """
CREATE INDEX "{table}_runs_finished" ON "{table}_runs" (finished_at) WHERE finished_at IS NOT NULL;
ALTER TABLE "{table}_tick" ADD COLUMN counted_until REAL NOT NULL DEFAULT 0;
CREATE TABLE "{table}_figures" (
    span INTEGER NOT NULL,
    begins_at REAL NOT NULL,
    agent_id TEXT NOT NULL,
    samples INTEGER NOT NULL DEFAULT 0,
    executing INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    submitted INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost REAL NOT NULL DEFAULT 0,
    waits TEXT,
    durations TEXT,
    PRIMARY KEY (span, begins_at, agent_id)
) WITHOUT ROWID
""",
    # Who writes a memory writes the words by which it is found, too.
    """
-- None of the sessions of agents, so that the index holds those of teams alone.
ALTER TABLE "{table}" ADD COLUMN session_type TEXT;
CREATE INDEX "{table}_teams" ON "{table}" (created_at) WHERE session_type IS NOT NULL;
CREATE TABLE "{table}_memories" (
    memory_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    agent_id TEXT,
    memory TEXT NOT NULL,
    topics TEXT,
    input TEXT,
    feedback TEXT,
    run_id TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX "{table}_memories_user" ON "{table}_memories" (user_id, updated_at, memory_id);
CREATE INDEX "{table}_memories_updated" ON "{table}_memories" (updated_at, memory_id);
CREATE INDEX "{table}_memories_run" ON "{table}_memories" (run_id) WHERE run_id IS NOT NULL;
CREATE TABLE "{table}_memory_words" (
    user_id TEXT NOT NULL,
    word TEXT NOT NULL,
    memory_id TEXT NOT NULL,
    PRIMARY KEY (user_id, word, memory_id)
) WITHOUT ROWID;
CREATE INDEX "{table}_memory_words_word" ON "{table}_memory_words" (word);
CREATE INDEX "{table}_memory_words_memory" ON "{table}_memory_words" (memory_id);
CREATE TABLE "{table}_components" (
    component_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    component_type TEXT NOT NULL CHECK (component_type IN ('agent', 'team')),
    config TEXT NOT NULL,
    stage TEXT NOT NULL DEFAULT 'published' CHECK (stage IN ('draft', 'published')),
    label TEXT,
    notes TEXT,
    is_current INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    deleted_at REAL,
    PRIMARY KEY (component_id, version)
) WITHOUT ROWID;
CREATE UNIQUE INDEX "{table}_components_current" ON "{table}_components" (component_id)
    WHERE is_current;
CREATE UNIQUE INDEX "{table}_components_label" ON "{table}_components" (component_id, label)
    WHERE label IS NOT NULL;
CREATE TABLE "{table}_contents" (
    knowledge TEXT NOT NULL,
    content_id TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('processing', 'completed', 'failed')),
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (knowledge, content_id)
) WITHOUT ROWID
""",
)

_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS kern_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"
)


def statements(session_table: str, version: int = 0) -> list[str]:
    """Return the SQL that brings tables of a version to this version of kern.

    Args:
        session_table: the table of the sessions; the others are named after it.
        version: how old they are; 0 where there are none yet.
    """
    scripts = [script.format(table=session_table) for script in MIGRATIONS[version:]]
    return [each.strip() for script in scripts for each in script.split(";\n")]


def migration_sql(session_table: str) -> str:
    """Return the SQL that makes the tables in a file that has none of this name."""
    version = f"INSERT INTO kern_versions VALUES ('{session_table}', {len(MIGRATIONS)})"
    script = ["BEGIN", _VERSIONS, *statements(session_table), version, "COMMIT"]
    return ";\n".join(script) + ";\n"


def migrate(connection: sqlite3.Connection, session_table: str) -> None:
    """Bring the tables to this version of kern; of processes that begin at once, one does.

    Raises:
        SchemaVersionError: the tables are newer than this version of kern.
    """
    if found_version(connection, session_table) == len(MIGRATIONS):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_VERSIONS)
        version = _version(connection, session_table) or 0
        if version > len(MIGRATIONS):
            raise SchemaVersionError(
                f"The tables of {session_table!r} have version {version}; this kern knows "
                f"versions up to {len(MIGRATIONS)}. Upgrade kern, or name another session_table."
            )
        for statement in statements(session_table, version):
            connection.execute(statement)
        connection.execute(
            "INSERT OR REPLACE INTO kern_versions VALUES (?, ?)", (session_table, len(MIGRATIONS))
        )


def found_version(connection: sqlite3.Connection, session_table: str) -> int | None:
    """Return the version of the tables; None where there are none yet."""
    versions = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'kern_versions'")
    return _version(connection, session_table) if versions.fetchone() else None


def _version(connection: sqlite3.Connection, session_table: str) -> int | None:
    row = connection.execute(
        "SELECT version FROM kern_versions WHERE name = ?", (session_table,)
    ).fetchone()
    return row[0] if row else None
