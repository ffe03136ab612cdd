"""What a server answers to documents."""

from vedette.control.apply import Applied
from vedette.kernel.records import record


@record
class Application:
    """What each document did, in the order in which they were applied."""

    items: tuple[Applied, ...]
    dry_run: bool
