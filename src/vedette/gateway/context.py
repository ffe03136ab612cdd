"""What the requests of one worker share."""

from typing import Protocol

from vedette.gateway.deadlines import Deadlines, Limited
from vedette.gateway.metrics import Metrics
from vedette.gateway.recorder import Recorder
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.shadow import Shadows


class UnderWay(Limited, Protocol):
    """A request that is being answered."""

    def cut_off(self) -> None:
        """End it because the gateway stops."""


class Context(Protocol):
    """What exchanges share."""

    settings: GatewaySettings
    metrics: Metrics
    recorder: Recorder
    exchanges: set[UnderWay]
    deadlines: Deadlines
    shadows: Shadows
