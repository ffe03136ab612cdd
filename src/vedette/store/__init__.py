"""The control store: what is true now, in SQLite or PostgreSQL, and the only place with queries.

Every function takes a connection inside a transaction that the caller opened (`engine.Store.transaction`) and commits
nothing itself, so a change, its audit entry and its outbox row stand or fall together. Writes that replace something
are compare-and-swap on its revision. Append the audit entry last in a transaction: its head row is the one lock that
every writer needs.
"""
