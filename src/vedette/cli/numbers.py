"""Numbers as people write them on the command line: fractions, and how traffic is split."""

import math
from collections.abc import Sequence

from vedette.kernel.errors import InvalidInput


def read_weights(said: str, arms: Sequence[str] | None = None) -> tuple[float, ...]:
    """Read the intended split, as fractions: ``50,50``, ``0.9,0.1`` or, by name, ``base=90,new=10``.

    Args:
        said: Numbers that add up to 1 or to 100.
        arms: In whose order they are given back; None takes them as they come.

    Raises:
        InvalidInput: They do not add up, are not above 0, or it is not clear which is whose.
    """
    parts = [part.partition("=") for part in said.split(",")]
    named = [name.strip() for name, sign, _ in parts if sign]
    try:
        numbers = [float((value if sign else name).strip().rstrip("%")) for name, sign, value in parts]
    except ValueError:
        raise InvalidInput(f"{said!r} is no split", hint="50,50 or base=90,new=10") from None
    total = math.fsum(numbers)
    if any(number <= 0 for number in numbers) or not any(abs(total - whole) < 1e-6 * whole for whole in (1.0, 100.0)):
        raise InvalidInput(f"the weights {said} add up to {total:g}", hint="each is above 0, and all are 1 or 100 %")
    shares = [number / total for number in numbers]
    if arms is None:
        return tuple(shares)
    if named:
        if sorted(named) != sorted(arms):
            raise InvalidInput(f"the weights name {', '.join(named)}", hint=f"the arms are {', '.join(arms)}")
        by_name = dict(zip(named, shares, strict=True))
        return tuple(by_name[arm] for arm in arms)
    if len(shares) != len(arms):
        raise InvalidInput(f"{len(shares)} weights for {len(arms)} arms", hint=f"the arms are {', '.join(arms)}")
    if max(shares) - min(shares) > 1e-9:
        example = ",".join(f"{arm}={100 * share:g}" for arm, share in zip(arms, shares, strict=True))
        raise InvalidInput("weights that differ need names", hint=f"such as {example}")
    return tuple(shares)


def fraction(said: str) -> float:
    """Read ``2%`` or ``0.02``.

    Raises:
        InvalidInput: It is no number.
    """
    text = said.strip()
    try:
        value = float(text.rstrip("%"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{said!r} is no fraction", hint="5% or 0.05")
    return value / 100.0 if text.endswith("%") else value
