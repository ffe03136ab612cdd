"""A pooler before PostgreSQL, such as PgBouncer in transaction mode: each transaction gets whichever session is free.

Nothing may be left in a session then, nor be expected there. A pooler is known by the process it names when it is
connected to: it makes one up, as it will serve the connection by many. Through one no statement is prepared in the
server, and the limits that are otherwise settings of the session are set in each transaction, for that alone. So they
are wherever they did not come to be in force: some poolers refuse to pass ``options`` on, and some drop them silently.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, event

_REFUSED = "unsupported startup parameter"  # says PgBouncer
_INFO = "vedette_pooled"
_UNLIMITED = "vedette_unlimited"


def heed(engine: Engine, limits: Mapping[str, int]) -> None:
    """Look at each new connection of an engine, and let it be served as it has to be.

    Args:
        engine: Of PostgreSQL. It connects with ``limits`` as ``options``, if there are any.
        limits: What is to be in force in every transaction: settings, in their base units.
    """
    within = "; ".join(f"SET LOCAL {name} = {value}" for name, value in limits.items())
    wanted = ", ".join(f"('{name}', '{value}')" for name, value in limits.items())
    in_force = f"(SELECT count(*) FROM pg_settings WHERE (name, setting) IN ({wanted}))" if limits else "0"  # noqa: S608 - names and numbers of our own
    look = f"SELECT pg_backend_pid(), {in_force}"
    passed_on = True

    @event.listens_for(engine, "do_connect")
    def _connecting(dialect: Any, _record: object, arguments: Any, parameters: Any) -> Any:  # noqa: ANN401 - a driver's
        nonlocal passed_on
        if passed_on and limits:
            try:
                return dialect.connect(*arguments, **parameters)
            except dialect.loaded_dbapi.OperationalError as error:
                if _REFUSED not in str(error):
                    raise
                passed_on = False
        if limits:
            del parameters["options"]
        return None  # it connects by itself, with the parameters that are left

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: Any) -> None:  # noqa: ANN401 - a driver's
        process, found = connection.execute(look).fetchone()
        connection.rollback()
        record.info[_INFO] = process != connection.info.backend_pid
        record.info[_UNLIMITED] = found < len(limits)
        if record.info[_INFO]:
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if limits and (connection.info[_INFO] or connection.info[_UNLIMITED]):
            connection.exec_driver_sql(within)


def pooled(connection: Connection) -> bool:
    """Say whether a pooler is between."""
    return bool(connection.info[_INFO])
