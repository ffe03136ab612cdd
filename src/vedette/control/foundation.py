"""What every public service stands on: the part of a `ControlPlane` it is made from."""

from typing import Protocol

from vedette.control.change import Changes
from vedette.control.instruments import Instruments
from vedette.control.traffic import Traffic
from vedette.lake.outcomes import Lake


class Foundation(Protocol):
    """Transactions, traffic, outcomes, and clocks."""

    changes: Changes
    traffic: Traffic
    lake: Lake
    instruments: Instruments
