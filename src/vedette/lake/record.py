"""An outcome as it is made on the request path: the fields of `Outcome`, in a form that is made ten times as fast.

A frozen dataclass sets each of its fields through `object.__setattr__`, which for eleven fields costs a gateway more
than everything else about keeping an outcome. Nobody keeps a record: it is checked, encoded and dropped, and what is
read back from a journal is an `Outcome`.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from vedette.evidence.outcome import Exposure, OutcomeStatus


class Record(Struct, omit_defaults=True):
    """The fields of an `Outcome`, in its order and with its meaning; without a unit it is written without one."""

    id: str
    domain: str
    at: datetime
    assigned: str
    served: str
    plan_revision: int
    bucket: int
    status: OutcomeStatus
    measures: Mapping[str, float]
    exposures: tuple[Exposure, ...]
    dimensions: Mapping[str, str]
    unit: str = ""
