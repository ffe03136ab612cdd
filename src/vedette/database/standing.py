"""What the PostgreSQL server that answered is: primary or standby, and whether its word outlives it."""

from sqlalchemy import Connection, text

from vedette.kernel.records import record


@record
class Standing:
    """The server that answered.

    ``standby`` says that it takes no writes. ``outlived`` says that a commit is acknowledged only when a standby has
    it too, so that nothing acknowledged is lost when this server dies.
    """

    server: str
    standby: bool
    outlived: bool


def standing(connection: Connection) -> Standing:
    """Ask a PostgreSQL server what it is, as it is for this connection."""
    row = connection.execute(
        text(
            "SELECT pg_is_in_recovery() AS standby, current_setting('synchronous_standby_names') AS names,"
            " current_setting('synchronous_commit') AS waits"
        )
    ).one()
    info = connection.connection.driver_connection.info  # type: ignore[union-attr]  # psycopg's, which is connected
    return Standing(
        server=f"{info.host}:{info.port}",
        standby=row.standby,
        outlived=bool(row.names.strip()) and row.waits not in {"off", "local"},
    )
