"""How long a whole answer may take: as a domain says, or less where the client says so."""

import math

import msgspec

from vedette.gateway.plans import ServedPlan
from vedette.gateway.request import Request
from vedette.gateway.turning import TurnedAway
from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput

HEADER = b"x-vedette-deadline"


class Patience(msgspec.Struct):
    """Seconds from the request to the end of its answer, and whether they are the client's own wish."""

    seconds: float = math.inf
    wished: bool = False


ENDLESS = Patience()
"""Nobody is in a hurry."""


def patience(served: ServedPlan, request: Request) -> Patience:
    """Read how long a request may take, of a domain that has a deadline; a header can only shorten it, to 0 too.

    Raises:
        TurnedAway: 400, for a header that says no time.
    """
    longest = served.plan.config.deadline
    said = request.fields.get(HEADER)
    if said is None:
        return Patience(longest)
    try:
        text = said.decode("ascii").strip()
        wish = float(text) if text.replace(".", "", 1).isdigit() else duration(text)
    except (InvalidInput, UnicodeDecodeError) as error:
        message = f"{HEADER.decode()} says no time: write seconds, or 800ms"
        raise TurnedAway(400, message, "invalid_deadline") from error
    return Patience(wish, wished=True) if wish < longest else Patience(longest)
