"""How the error probability of a planned number of looks is shared out among them.

Two kinds. A *shape* fixes how the critical values of planned looks relate to each other (O'Brien & Fleming, Pocock,
Wang & Tsiatis). A *spending function* says how much of the error may have been used when a fraction `t` of the planned
information is there: looks need not be planned, nor equally spaced.

References:
    Pocock, "Group sequential methods in the design and analysis of clinical trials", Biometrika 64 (1977).
    O'Brien & Fleming, "A multiple testing procedure for clinical trials", Biometrics 35 (1979).
    Lan & DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983).
    Wang & Tsiatis, "Approximately optimal one-parameter boundaries", Biometrics 43 (1987).
    Kim & DeMets, "Design and analysis of group sequential tests …", Biometrika 74 (1987): the power family.
    Hwang, Shih & DeCani, "Group sequential designs using a family of type I error probability spending functions",
    Statistics in Medicine 9 (1990).
"""

import math
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput


class Family(StrEnum):
    """A named way of sharing out the error; the last four are spending functions."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"
    WANG_TSIATIS = "wang_tsiatis"
    LAN_DEMETS_OBRIEN_FLEMING = "lan_demets_obrien_fleming"
    LAN_DEMETS_POCOCK = "lan_demets_pocock"
    POWER = "power"
    HWANG_SHIH_DECANI = "hwang_shih_decani"


SHAPES = frozenset({Family.OBRIEN_FLEMING, Family.POCOCK, Family.WANG_TSIATIS})

_PARAMETERS: dict[Family, tuple[str, float, float, str]] = {
    Family.WANG_TSIATIS: ("Δ", 0.0, 0.5, "0 is O'Brien-Fleming, 0.5 is Pocock"),
    Family.POWER: ("ρ", 0.1, 20.0, "1 is nearly Pocock, 2 is t², 3 is nearly O'Brien-Fleming"),
    Family.HWANG_SHIH_DECANI: ("γ", -40.0, 40.0, "1 is nearly Pocock, -4 is nearly O'Brien-Fleming"),
}


def check_parameter(family: Family, parameter: float | None) -> None:
    """Refuse a parameter that the family does not have, lacks, or that lies outside its range.

    Raises:
        InvalidInput: as said, with the range.
    """
    if family not in _PARAMETERS:
        if parameter is not None:
            raise InvalidInput(f"the design {family} has no parameter", hint="leave it out")
        return
    sign, low, high, meaning = _PARAMETERS[family]
    if parameter is None or not low <= parameter <= high:
        raise InvalidInput(
            f"the design {family} needs its parameter {sign} between {low} and {high}, not {parameter}", hint=meaning
        )


def spent(family: Family, parameter: float | None, level: float, fraction: ArrayLike) -> FloatArray:
    """Error probability of one side that may be used up at each information fraction; all of `level` from 1 on.

    Args:
        family: A spending function, no shape.
        parameter: ρ of the power family, γ of Hwang, Shih & DeCani.
        level: Error probability of one side, between 0 and 1.
        fraction: Information as a fraction of the planned maximum, above 0; any shape.

    Raises:
        InvalidInput: The family is a shape.
    """
    t = np.minimum(np.asarray(fraction, np.float64), 1.0)
    match family:
        case Family.LAN_DEMETS_OBRIEN_FLEMING:
            used = 2.0 * ndtr(ndtri(level / 2.0) / np.sqrt(t))
        case Family.LAN_DEMETS_POCOCK:
            used = level * np.log1p((math.e - 1.0) * t)
        case Family.POWER:
            used = level * t ** (parameter or 1.0)
        case Family.HWANG_SHIH_DECANI:
            used = level * (np.expm1(-parameter * t) / np.expm1(-parameter) if parameter else t)
        case _:
            raise InvalidInput(
                f"{family} relates planned looks to each other and has no spending function",
                hint="take lan_demets_obrien_fleming or lan_demets_pocock for looks that are not planned",
            )
    return np.asarray(np.where(t >= 1.0, level, used), np.float64)


def shape(family: Family, parameter: float | None, fraction: ArrayLike) -> FloatArray:
    """Critical z-values of planned looks relative to the last one's: `t ** (Δ - 1/2)`."""
    delta = {Family.OBRIEN_FLEMING: 0.0, Family.POCOCK: 0.5}.get(family, parameter)
    return np.asarray(np.asarray(fraction, np.float64) ** ((0.5 if delta is None else delta) - 0.5))
