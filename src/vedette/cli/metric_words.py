"""How metrics and looks are said on the command line: ``cost/requests:guardrail:2%:lower``."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from vedette.cli.numbers import fraction
from vedette.experiments.analyzer import LOWER_IS_BETTER
from vedette.experiments.metrics import Better, Mean, Measured, Proportion, Quantile, Ratio, Role
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, Monitoring
from vedette.kernel.errors import InvalidInput

ROWS = "rows"
"""The column that says how many rows a cluster's sums are of."""

_ROLES: Mapping[str, Role] = {"primary": "primary", "secondary": "secondary", "guardrail": "guardrail"}
_WAYS: Mapping[str, Better] = {"higher": "higher", "lower": "lower"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricWords:
    """A metric as it was said; what kind it is, the data decide.

    `covariate` is a column known before the experiment, `covariate_denominator` what it is divided by.
    """

    column: str
    denominator: str = ""
    quantile: float = 0.0
    name: str = ""
    role: Role = "secondary"
    better: Better = "higher"
    margin: float = 0.0
    covariate: str = ""
    covariate_denominator: str = ""

    @property
    def called(self) -> str:
        """Name the metric, as results will."""
        what = f"{self.column}/{self.denominator}" if self.denominator else self.column
        return self.name or (f"{self.column} p{100 * self.quantile:g}" if self.quantile else what)

    def columns(self) -> tuple[str, ...]:
        """Name every column it reads."""
        named = (self.column, self.denominator, self.covariate, self.covariate_denominator)
        return tuple(name for name in named if name)

    def measured(self, *, binary: bool, clustered: bool) -> Measured:
        """Make the metric; of clusters' sums a mean is a ratio to the number of rows."""
        more = {"name": self.called, "role": self.role, "better": self.better, "margin": self.margin}
        adjusted = {"covariate": self.covariate, "covariate_denominator": self.covariate_denominator}
        if self.quantile:
            if self.covariate:
                raise InvalidInput(f"{self.called} is a quantile, which no covariate adjusts", hint="leave it out")
            return Quantile(self.column, quantile=self.quantile, **more)  # type: ignore[arg-type]  # its own fields
        if clustered and self.covariate and not self.covariate_denominator:
            adjusted["covariate_denominator"] = ROWS
        if self.denominator or clustered:
            return Ratio(self.column, self.denominator or ROWS, **more, **adjusted)  # type: ignore[arg-type]  # its fields
        return (Proportion if binary else Mean)(self.column, **more, **adjusted)  # type: ignore[arg-type]  # its fields


def read_metric(said: str, columns: Collection[str]) -> MetricWords:
    """Read one metric; a name that is a column as it stands is that column, whatever signs are in it.

    Raises:
        InvalidInput: It is not understood, or names a column that is not there.
    """
    what, words = said, list[str]()
    while what not in columns and ":" in what and _is_word(what.rpartition(":")[2]):
        what, _, word = what.rpartition(":")
        words.insert(0, word.strip().lower())
    name = ""
    if what not in columns and "=" in what:
        name, _, what = what.partition("=")
    found = replace(_what(what, columns, said), name=name)
    if found.column in LOWER_IS_BETTER:
        found = replace(found, better="lower")
    for word in words:
        if word in _ROLES:
            found = replace(found, role=_ROLES[word])
        elif word in _WAYS:
            found = replace(found, better=_WAYS[word])
        else:
            found = replace(found, margin=fraction(word))
    return found


def with_covariates(metrics: Sequence[MetricWords], said: Mapping[str, str]) -> tuple[MetricWords, ...]:
    """Give each metric its covariate, said as ``metric=column`` or ``metric=column/column``.

    Raises:
        InvalidInput: There is no such metric.
    """
    names = [metric.called for metric in metrics]
    if unknown := [name for name in said if name not in names]:
        raise InvalidInput(f"there is no metric {unknown[0]!r} to adjust", hint=f"metrics: {', '.join(names)}")
    parted = {name: column.partition("/") for name, column in said.items()}
    return tuple(
        replace(metric, covariate=parted[name][0], covariate_denominator=parted[name][2]) if name in parted else metric
        for name, metric in zip(names, metrics, strict=True)
    )


def read_monitoring(said: str) -> Monitoring:
    """Read ``fixed``, ``anytime[:TUNE_AT]`` or ``sequential:UNITS[:LOOKS]``.

    Raises:
        InvalidInput: It is none of these.
    """
    kind, *numbers = said.lower().split(":")
    try:
        figures = [float(part.replace(",", "").replace("_", "")) for part in numbers]
    except ValueError:
        figures = [math.nan]
    whole = all(it.is_integer() for it in figures)
    if kind == "fixed" and not numbers:
        return Fixed()
    if kind == "anytime" and len(figures) <= 1 and all(map(math.isfinite, figures)):
        return AnytimeValid(tune_at=figures[0]) if figures else AnytimeValid()
    if kind == "sequential" and len(figures) in {1, 2} and whole:
        return GroupSequential(units=int(figures[0]), looks=int(figures[1]) if len(figures) > 1 else 20)
    raise InvalidInput(
        f"{said!r} is no way to look at an experiment",
        hint="fixed, anytime, anytime:20000 (quickest at that size), or sequential:20000:5 (units in all, looks)",
    )


def _is_word(text: str) -> bool:
    word = text.strip().lower()
    if word in _ROLES or word in _WAYS:
        return True
    try:
        fraction(word)
    except InvalidInput:
        return False
    return True


def _what(said: str, columns: Collection[str], whole: str) -> MetricWords:
    if said in columns:
        return MetricWords(column=said)
    known = f"columns: {', '.join(columns)}"
    top, sign, bottom = said.partition("/")
    if sign and top in columns and bottom in columns:
        return MetricWords(column=top, denominator=bottom)
    column, sign, level = said.rpartition("@")
    if sign and column in columns:
        try:
            q = float(level.lower().removeprefix("p")) / 100.0
        except ValueError:
            q = math.nan
        if not 0.0 < q < 1.0:
            raise InvalidInput(f"{level!r} is no percentile", hint="such as latency_ms@p95")
        return MetricWords(column=column, quantile=q)
    parts = said.split("/") if "/" in said else [column or said]
    wrong = next((part for part in parts if part not in columns), said)
    raise InvalidInput(f"{whole!r} names no column: there is no {wrong!r}", hint=known)
