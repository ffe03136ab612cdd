"""A gateway in a process of its own, plans from FOLDER/plans.json, nobody to ship to: ``python process.py FOLDER``."""

import sys
from pathlib import Path
from typing import NoReturn

from vedette.gateway.server import Gateway, run
from vedette.gateway.settings import GatewaySettings
from vedette.kernel.errors import Unavailable


class Nobody:
    """A control plane and a lake that are away."""

    def poll(self, *_: object) -> NoReturn:
        """Raise."""
        raise Unavailable("away")

    keys = spending = confirm = ship = poll


def say(address: tuple[str, int]) -> None:
    """Tell the parent the port."""
    sys.stdout.write(f"{address[1]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    gateway = Gateway(
        Nobody(), Nobody(), Path(sys.argv[1]), settings=GatewaySettings(ship_interval=60.0, drain_timeout=5.0)
    )
    run(gateway, started=say)
