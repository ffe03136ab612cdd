"""One way to a database, SQLite or PostgreSQL, for the store and the lake alike."""
