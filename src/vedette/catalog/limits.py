"""How much may be asked: rates of requests and tokens, requests at once."""

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record


@record
class Rates:
    """Requests and tokens a minute; 0 sets no limit.

    What was not used comes back evenly, up to a minute's worth.
    """

    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    def __post_init__(self) -> None:
        """Refuse limits below nothing."""
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 0:
                raise InvalidInput(f"{name} must be 0 (no limit) or more, not {getattr(self, name)}")

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, name) for name in self.__dataclass_fields__)


@record
class Limits(Rates):
    """The same of all callers of a domain together, and how many requests it answers at once; 0 sets no limit."""

    concurrency: int = 0
