"""A Parquet file of users in four arms, with what they did before and during an experiment."""

from pathlib import Path

import duckdb
import numpy as np

ARMS = ("control", "treatment_a", "treatment_b", "treatment_c")
COUNTRIES = ("de", "fr", "gb", "us", "br", "in", "jp", "za")
LIFT = (0.0, 0.02, 0.0, -0.01)
"""What each arm does to the chance of buying, as a fraction of it."""


def write_users(path: Path, users: int, seed: int) -> None:
    """Write the users: most buy nothing, those who do spend like before, and orders come out of sessions."""
    chance = np.random.default_rng(seed)
    arm = chance.integers(0, len(ARMS), users)
    habit = chance.lognormal(2.0, 1.0, users)
    buys_before, buys = chance.random(users) < 0.4, chance.random(users) < 0.4 * (1.0 + np.array(LIFT)[arm])
    sessions_before, sessions = chance.poisson(4.0, users), 1 + chance.poisson(4.0, users)
    table = {
        "user_id": np.arange(users),
        "variant": np.array(ARMS, object)[arm],
        "country": np.array(COUNTRIES, object)[chance.integers(0, len(COUNTRIES), users)],
        "sessions": sessions,
        "orders": chance.binomial(sessions, 0.25),
        "revenue": habit * chance.lognormal(0.0, 0.5, users) * buys,
        "sessions_before": sessions_before,
        "orders_before": chance.binomial(sessions_before, 0.25),
        "revenue_before": habit * chance.lognormal(0.0, 0.5, users) * buys_before,
    }
    with duckdb.connect() as connection:
        connection.register("users", table)
        connection.sql("SELECT * FROM users").write_parquet(str(path))
