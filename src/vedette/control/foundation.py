"""What every public service stands on: the part of a `ControlPlane` it is made from."""

from typing import Protocol

from vedette.control.change import Changes
from vedette.control.instruments import Instruments
from vedette.control.traffic import Traffic
from vedette.kernel.records import record
from vedette.lake.evidence import LakeReader


class Foundation(Protocol):
    """Transactions, traffic, outcomes, and clocks."""

    @property
    def changes(self) -> Changes:
        """The transaction rule."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Plans and their confirmations."""
        ...

    @property
    def lake(self) -> LakeReader:
        """What happened."""
        ...

    @property
    def instruments(self) -> Instruments:
        """Clocks and ids."""
        ...


@record
class Ground:
    """A foundation by itself, for what is no plane."""

    changes: Changes
    traffic: Traffic
    lake: LakeReader
    instruments: Instruments
