"""What the requests of one worker share."""

from typing import TYPE_CHECKING, Protocol

from vedette.gateway.deadlines import Deadlines
from vedette.gateway.metrics import Metrics
from vedette.gateway.recorder import Recorder
from vedette.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from vedette.gateway.exchange import Exchange
    from vedette.gateway.shadow import Shadows


class Context(Protocol):
    """What exchanges share."""

    settings: GatewaySettings
    metrics: Metrics
    recorder: Recorder
    exchanges: "set[Exchange]"
    deadlines: Deadlines
    shadows: "Shadows"
