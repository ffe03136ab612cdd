"""Where a lake may live."""

import sqlite3
import threading

import pytest
from tests.lake.making import outcome

from vedette.database import engine
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.lake.outcomes import Lake


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://host/lake", "postgresql:x"])
def test_a_url_that_names_no_lake_is_refused(url):
    """Only a SQLite file and a PostgreSQL database can be a lake."""
    with pytest.raises(InvalidInput, match=r"sqlite:///folder/outcomes\.db"):
        Lake(url)


def test_a_password_is_never_told():
    """Errors name the database without its password."""
    lake = Lake("postgresql://vedette:secret@127.0.0.1:1/lake", patience=0.1)
    with pytest.raises(Unavailable) as told:
        lake.migrate()
    assert "vedette:***@127.0.0.1" in str(told.value)
    assert "secret" not in str(told.value)


def test_the_folder_of_the_file_is_made(tmp_path):
    """A lake makes the folder it is to live in, and says so when it cannot."""
    lake = Lake(f"sqlite:///{tmp_path / 'new' / 'outcomes.db'}")
    lake.migrate()
    assert lake.ship("first", [outcome()]) == 1
    lake.close()
    with pytest.raises(Unavailable, match="cannot make the folder"):
        Lake(f"sqlite:///{tmp_path / 'new' / 'outcomes.db' / 'deeper' / 'outcomes.db'}")


class _BeingMade:
    """A connection to a file that others are making: SQLite waits for nobody when it switches to WAL."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    def execute(self, _: str) -> None:
        if self.said:
            raise sqlite3.OperationalError(self.said.pop(0))


def test_a_file_that_others_are_making_is_waited_for():
    """A locked file is tried again until patience ends; anything else that is wrong with it is told at once."""
    made = _BeingMade("database is locked", "database is locked")
    engine._switch_to_wal(made, sqlite3, 5.0)
    assert not made.said
    for patience, said in ((0.0, "database is locked"), (60.0, "database or disk is full")):
        with pytest.raises(sqlite3.OperationalError, match=said):
            engine._switch_to_wal(_BeingMade(*[said] * 9), sqlite3, patience)


def test_many_may_migrate_at_once(lake_url):
    """Replicas that start together make one lake."""
    started, failures = threading.Barrier(8), []

    def migrate():
        lake = Lake(lake_url)
        started.wait()
        try:
            lake.migrate()
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)
        lake.close()

    replicas = [threading.Thread(target=migrate) for _ in range(8)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join()
    assert failures == []
