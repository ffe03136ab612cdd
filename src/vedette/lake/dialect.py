"""What SQL engines spell differently; everything else in `lake.queries` is one text for all of them."""

import re
from dataclasses import dataclass

from vedette.evidence.histogram import GAMMA, LOWEST, OVERFLOW, ZERO, lower_edge

_SPECIAL = re.compile(r"([][(){}.*+?^$|\\])")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's spelling; `{…}` are filled in with SQL.

    Attributes:
        name: The engine.
        captured: What the first group of a regular expression matched; "" where nothing did.
        centred: Sum of squared deviations from the mean, by a method that loses no digits.
        signs: How signs are written in a literal that do not stand for themselves there, in the order to replace them.
        quote: What stands around a name; inside of it, it is doubled.
    """

    name: str
    captured: str
    centred: str = "var_pop({value}) * count({value})"
    signs: tuple[tuple[str, str], ...] = (("'", "''"),)
    quote: str = '"'

    def text(self, value: str) -> str:
        """Write a text as a literal."""
        for sign, written in self.signs:
            value = value.replace(sign, written)
        return f"'{value}'"

    def quoted(self, name: str) -> str:
        """Write the name of a column, whatever signs it has but backslashes."""
        return self.quote + name.replace(self.quote, 2 * self.quote) + self.quote

    def capture(self, column: str, expression: str) -> str:
        """Write what a regular expression captures in a column; "" where it does not match."""
        return self.captured.format(column=column, expression=self.text(expression))

    def sum_of_squares(self, value: str) -> str:
        """Write the centred second moment of a group."""
        return self.centred.format(value=value)

    def bin(self, value: str) -> str:
        """Write the histogram bin (see `evidence.histogram`) of a value; what is negative counts as zero."""
        smallest, largest = lower_edge(LOWEST), lower_edge(OVERFLOW)
        return (
            f"CASE WHEN {value} < {smallest!r} THEN {ZERO} WHEN {value} >= {largest!r} THEN {OVERFLOW}"
            f" ELSE CAST(floor(ln({value}) * (1.0e0 / ln({GAMMA!r}e0))) AS INTEGER) END"
        )


DUCKDB = Dialect("duckdb", "regexp_extract({column}, {expression}, 1)")
POSTGRESQL = Dialect("postgresql", "coalesce(substring({column} from {expression}), '')")
SPARK = Dialect(
    "spark",
    "regexp_extract({column}, {expression}, 1)",
    # ``${name}`` is replaced by a setting's value before anything is parsed, in literals too
    signs=(("\\", "\\\\"), ("'", "\\'"), ("$", "\\u0024")),
    quote="`",
)
CLICKHOUSE = Dialect(
    "clickhouse",
    "extract({column}, {expression})",
    "varPopStable({value}) * count({value})",  # its var_pop adds up squares
    signs=(("\\", "\\\\"), ("'", "\\'")),
)


def escaped(text: str) -> str:
    """Write a text as a regular expression that matches it, in every engine's kind of them."""
    return _SPECIAL.sub(r"\\\1", text)
