"""What makes the tables in PostgreSQL: one list of statements a version.

What has been released is never changed, only added to.
"""

from collections.abc import Sequence

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        # The fill factor leaves room on the page for the next versions of a row.
        """
CREATE TABLE {sessions} (
    session_id text PRIMARY KEY,
    agent_id text NOT NULL,
    user_id text,
    name text,
    session_state json,
    state_version bigint NOT NULL DEFAULT 0,
    metadata json,
    lock_run_id text,
    lock_requests bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80)""",
        "CREATE SEQUENCE {positions}",
        """
CREATE TABLE {runs} (
    run_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE DEFAULT nextval('{positions}'),
    session_id text,
    agent_id text,
    user_id text,
    parent_run_id text,
    status text NOT NULL CHECK (
        status IN ('PENDING', 'RUNNING', 'PAUSED', 'COMPLETED', 'ERROR', 'CANCELLED')),
    attempt integer NOT NULL DEFAULT 0,
    input json,
    output json,
    error json,
    error_kind text,
    usage json,
    metadata json,
    requirements json,
    model text,
    journal_version integer NOT NULL DEFAULT 1,
    refusals integer NOT NULL DEFAULT 0,
    refused_at timestamptz,
    refusal text,
    priority integer NOT NULL DEFAULT 0,
    run_at timestamptz,
    due_at timestamptz,
    timeout double precision,
    max_attempts integer,
    failures integer NOT NULL DEFAULT 0,
    ordered boolean NOT NULL DEFAULT false,
    waiting boolean NOT NULL DEFAULT false,
    concurrency_key text,
    counted boolean NOT NULL DEFAULT false,
    watched boolean NOT NULL DEFAULT false,
    streamed boolean NOT NULL DEFAULT false,
    executor text,
    dispatched_at timestamptz,
    lease_until timestamptz,
    cancel_requested_at timestamptz,
    webhook text,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 80)""",
        "ALTER SEQUENCE {positions} OWNED BY {runs}.position",
        # One for every list: of a session, an agent, a user, a status, a time, a parent. Guards
        # compare the status itself, so that no plan looks for a run by its guard: where runs only
        # pass through, as PENDING and RUNNING, most entries of an index are dead.
        "CREATE INDEX ON {runs} (session_id, position)",
        "CREATE INDEX ON {runs} (agent_id, position)",
        "CREATE INDEX ON {runs} (user_id, position) WHERE user_id IS NOT NULL",
        "CREATE INDEX ON {runs} ((status || ''), position)",
        "CREATE INDEX ON {runs} (created_at)",
        "CREATE INDEX ON {runs} (parent_run_id) WHERE parent_run_id IS NOT NULL",
        # Only for runs that wait, or that are counted; most never enter these.
        "CREATE INDEX ON {runs} (due_at, agent_id) WHERE status || '' = 'PENDING'",
        "CREATE INDEX ON {runs} (session_id, position) WHERE waiting::integer = 1",
        "CREATE INDEX ON {runs} "
        "(concurrency_key, (parent_run_id IS NULL), priority DESC, position) "
        "WHERE concurrency_key IS NOT NULL",
        "CREATE INDEX ON {runs} (agent_id, user_id) WHERE counted",
        """
CREATE TABLE {events} (
    run_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, seq)
)""",
        """
CREATE TABLE {webhooks} (
    delivery_id text PRIMARY KEY,
    run_id text NOT NULL,
    attempt integer NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    delivered_at timestamptz,
    given_up_at timestamptz,
    error text,
    created_at timestamptz NOT NULL DEFAULT now()
)""",
        "CREATE INDEX ON {webhooks} (due_at) WHERE due_at IS NOT NULL",
        "CREATE INDEX ON {webhooks} (run_id)",
        """
CREATE TABLE {processes} (
    executor text PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    agents json NOT NULL,
    version text NOT NULL,
    slots integer,
    executing integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now()
)""",
        """
CREATE TABLE {tick} (
    swept_at timestamptz,
    quiet_until timestamptz,
    quiet_times integer NOT NULL DEFAULT 0
)""",
        "CREATE UNIQUE INDEX ON {tick} ((true))",
        "INSERT INTO {tick} DEFAULT VALUES",
        """
CREATE TABLE {blobs} (
    run_id text NOT NULL,
    hash text NOT NULL,
    chunk integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run_id, hash, chunk)
)""",
        """
CREATE TABLE {schedules} (
    name text PRIMARY KEY,
    agent_id text NOT NULL,
    input json NOT NULL,
    cron text NOT NULL,
    timezone text NOT NULL,
    missed text NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    session_id text,
    user_id text,
    metadata json,
    paused boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
)""",
        "CREATE INDEX ON {schedules} (next_at) WHERE NOT paused",
        # PgQueuer's trigger notifies once a statement, also of one that inserts nothing. So kern's
        # statements insert entries by this function, which is called only where there are any.
        # The key names the moment at which the run became due: an entry of an earlier moment that
        # is on its way out keeps no later one out.
        """
CREATE OR REPLACE FUNCTION {enqueue}(
    session_table text, run_ids text[], agent_ids text[], are_children boolean[],
    priorities integer[], dues timestamptz[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    enqueued bigint;
BEGIN
    INSERT INTO {queue} (priority, entrypoint, payload, dedupe_key, execute_after, status)
    SELECT
        CASE WHEN is_child THEN least(urgency::bigint + 1000000, 2147483647) ELSE urgency END,
        session_table || CASE WHEN is_child THEN '>' ELSE '/' END || agent,
        convert_to(run, 'UTF8'),
        session_table || '/' || run || '/' || (extract(epoch FROM due) * 1000000)::bigint,
        due,
        'queued'
    FROM unnest(run_ids, agent_ids, are_children, priorities, dues) WITH ORDINALITY
        AS entry (run, agent, is_child, urgency, due, number)
    ORDER BY number
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING;
    GET DIAGNOSTICS enqueued = ROW_COUNT;
    RETURN enqueued;
END $$""",
    ),
    (
        # Some checkouts made these with version 1.
        "ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS usage_limits json",
        "ALTER TABLE {events} ADD COLUMN IF NOT EXISTS event integer, "
        "ADD COLUMN IF NOT EXISTS skippable boolean NOT NULL DEFAULT false",
        "UPDATE {events} SET event = seq WHERE event IS NULL",
        "ALTER TABLE {events} ALTER COLUMN event SET NOT NULL, ALTER COLUMN skippable DROP DEFAULT",
        "ALTER TABLE {processes} ADD COLUMN heartbeat double precision",
        # For what belongs to a user; sessions without one are not in it.
        "CREATE INDEX ON {sessions} (user_id) WHERE user_id IS NOT NULL",
    ),
    (
        # Everybody's budgets have an empty user. A row without limits only counts: everybody's
        # hold for its user.
        """
CREATE TABLE {budgets} (
    user_id text NOT NULL,
    per text NOT NULL CHECK (per IN ('hour', 'day', 'week', 'month')),
    cost double precision,
    tokens bigint,
    starts_at timestamptz,
    used_cost double precision NOT NULL DEFAULT 0,
    used_tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, per)
) WITH (fillfactor = 50)""",
        # The form of a run's answer, where it is not its agent's.
        "ALTER TABLE {runs} ADD COLUMN output_schema json",
    ),
    (
        "ALTER TABLE {sessions} ADD COLUMN summary json, ADD COLUMN data json",
        # One for every list of sessions: of all, an agent, a user, those that have a name.
        "CREATE INDEX ON {sessions} (created_at, session_id)",
        "CREATE INDEX ON {sessions} (agent_id, created_at, session_id)",
        "DROP INDEX IF EXISTS {sessions_of_users}",
        "CREATE INDEX ON {sessions} (user_id, created_at, session_id) WHERE user_id IS NOT NULL",
        "CREATE INDEX ON {sessions} (created_at, session_id) WHERE name IS NOT NULL",
        # A key is JSON text, and without a value where it was deleted. The position is that of the
        # run that has changed it last; 0 where it is as new sessions of its agent begin.
        """
CREATE TABLE {states} (
    session_id text NOT NULL,
    key text NOT NULL,
    value json,
    position bigint NOT NULL,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (session_id, key)
) WITH (fillfactor = 80)""",
    ),
    (
        "ALTER TABLE {runs} ADD COLUMN foreground boolean NOT NULL DEFAULT false, "
        "ADD COLUMN lineage json, ADD COLUMN replaced_by text, ADD COLUMN expires_at timestamptz",
        # For the pauses that expire.
        "CREATE INDEX ON {runs} (expires_at) "
        "WHERE status || '' = 'PAUSED' AND expires_at IS NOT NULL",
        # For the list of those in whose place others stand.
        "CREATE INDEX ON {runs} (position) WHERE replaced_by IS NOT NULL",
        """
CREATE TABLE {approvals} (
    id text PRIMARY KEY,
    run_id text NOT NULL,
    requirement_id text,
    session_id text,
    agent_id text,
    team_id text,
    user_id text,
    status text NOT NULL CHECK (
        status IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    approval_type text NOT NULL CHECK (approval_type IN ('required', 'audit')),
    pause_type text NOT NULL,
    strict boolean NOT NULL DEFAULT false,
    tool_name text,
    tool_args json,
    source_type text NOT NULL DEFAULT 'agent',
    source_name text,
    requirements json,
    context json,
    resolution_data json,
    resolved_by text,
    resolved_at timestamptz,
    run_status text,
    schedule_id text,
    schedule_run_id text,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80)""",
        # One for every list: of all, a status, a run, an agent, a user.
        "CREATE INDEX ON {approvals} (created_at, id)",
        "CREATE INDEX ON {approvals} (status, created_at, id)",
        "CREATE INDEX ON {approvals} (run_id)",
        "CREATE INDEX ON {approvals} (agent_id, created_at, id)",
        "CREATE INDEX ON {approvals} (user_id, created_at, id) WHERE user_id IS NOT NULL",
    ),
    (
        # An erased run has a moment since which nobody sees it; what has ended and is unstored yet
        # is in the index only until it is erased.
        "ALTER TABLE {runs} ADD COLUMN unstored boolean NOT NULL DEFAULT false, "
        "ADD COLUMN erased_at timestamptz",
        "CREATE INDEX ON {runs} (finished_at) WHERE unstored AND finished_at IS NOT NULL",
        """
CREATE TABLE {keys} (
    key_id text PRIMARY KEY,
    hash text NOT NULL UNIQUE,
    name text,
    user_id text NOT NULL,
    scopes json NOT NULL,
    agents json,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
) WITH (fillfactor = 80)""",
        # One for every list: of all, a user.
        "CREATE INDEX ON {keys} (created_at, key_id)",
        "CREATE INDEX ON {keys} (user_id, created_at, key_id)",
    ),
    (
        # For the figures of a minute; a run enters it with its end.
        "CREATE INDEX ON {runs} (finished_at) WHERE finished_at IS NOT NULL",
        "ALTER TABLE {tick} ADD COLUMN counted_until timestamptz NOT NULL DEFAULT 'epoch'",
        # The span is in seconds. The agent without a name has the samples.
        """
CREATE TABLE {figures} (
    span integer NOT NULL,
    begins_at timestamptz NOT NULL,
    agent_id text NOT NULL,
    samples integer NOT NULL DEFAULT 0,
    executing bigint NOT NULL DEFAULT 0,
    due bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    submitted bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cost double precision NOT NULL DEFAULT 0,
    waits bigint[],
    durations bigint[],
    PRIMARY KEY (span, begins_at, agent_id)
) WITH (fillfactor = 80)""",
    ),
    (
        # None of the sessions of agents, so that the index holds those of teams alone.
        "ALTER TABLE {sessions} ADD COLUMN session_type text",
        "CREATE INDEX ON {sessions} (created_at, session_id) WHERE session_type IS NOT NULL",
        # By which words a memory is found says kern.memory.user_memory, for every database.
        """
CREATE TABLE {memories} (
    memory_id text PRIMARY KEY,
    user_id text NOT NULL,
    agent_id text,
    memory text NOT NULL,
    topics json,
    input text,
    feedback text,
    run_id text,
    words tsvector NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80)""",
        "CREATE INDEX ON {memories} (user_id, updated_at, memory_id)",
        "CREATE INDEX ON {memories} (updated_at, memory_id)",
        "CREATE INDEX ON {memories} (run_id) WHERE run_id IS NOT NULL",
        "CREATE INDEX ON {memories} USING gin (words)",
        """
CREATE TABLE {components} (
    component_id text NOT NULL,
    version integer NOT NULL,
    component_type text NOT NULL CHECK (component_type IN ('agent', 'team')),
    config json NOT NULL,
    stage text NOT NULL DEFAULT 'published' CHECK (stage IN ('draft', 'published')),
    label text,
    notes text,
    is_current boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (component_id, version)
) WITH (fillfactor = 80)""",
        "CREATE UNIQUE INDEX ON {components} (component_id) WHERE is_current",
        "CREATE UNIQUE INDEX ON {components} (component_id, label) WHERE label IS NOT NULL",
        """
CREATE TABLE {contents} (
    knowledge text NOT NULL,
    content_id text NOT NULL,
    name text NOT NULL,
    status text NOT NULL CHECK (status IN ('processing', 'completed', 'failed')),
    details json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (knowledge, content_id)
) WITH (fillfactor = 80)""",
    ),
)
