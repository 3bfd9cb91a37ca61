"""Where sessions, runs and journals are kept: PostgreSQL, SQLite, memory."""
