"""How answers about experiments look to people: the sentence first, then the figures, then what to be careful about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vedette.cli.output import table, text
from vedette.kernel.tables import UNKNOWN, Table, say, say_interval, say_number, say_p, say_p_in_words, say_percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vedette.cli.file_experiment import FileAnswer
    from vedette.cli.file_pairs import PairsAnswer, TwoModels
    from vedette.cli.sizing import Sizing
    from vedette.cli.splits import SplitAnswer
    from vedette.experiments.analysis import Analysis
    from vedette.experiments.report import ExperimentReport
    from vedette.stats.cautions import Caution

SRM_ALPHA = 0.001
_STYLES = {"better": "green", "worse": "red"}


def answer_view(answer: "FileAnswer", analysis: "Analysis") -> "RenderableType":
    """Show the answer of a file."""
    return _stacked(
        text(answer.report.verdict.sentence, "bold"),
        _laid(analysis.table(), mark="verdict"),
        _standings(answer.report),
        _lines(_split(answer.report), _worth(answer.report), *answer.notes),
        _careful(answer.cautions),
    )


def pairs_view(answer: "PairsAnswer", analysis: "Analysis") -> "RenderableType":
    """Show the answer of judged items."""
    return _stacked(
        text(answer.report.verdict.sentence, "bold"),
        _laid(analysis.table(), mark="verdict"),
        _crossed(answer.right_and_wrong) if answer.right_and_wrong else None,
        _standings(answer.report, without=("share", "p best", "expected loss")),  # all saw the same
        _lines(*answer.notes),
        _careful(answer.cautions),
    )


def split_view(answer: "SplitAnswer") -> "RenderableType":
    """Show whether a split is the intended one."""
    rows = []
    likely = iter(zip(answer.low, answer.high, strict=True))
    for place, (count, share, promised) in enumerate(
        zip(answer.counts, answer.shares, answer.intended, strict=True), start=1
    ):
        low, high = next(likely)
        said = say_interval(low, high, lambda part: say_percent(part, signed=False))
        rows.append((f"arm {place}", f"{count:,}", _share(share), _share(promised), said))
    return _stacked(
        text(
            f"{answer.sentence.rstrip('.')} ({say_p_in_words(answer.p_value)}).",
            "bold red" if answer.broken else "bold",
        ),
        table(("ARM", "UNITS", "SHARE", "INTENDED", "LIKELY SHARE (99.9 %)"), rows),
        _lines(answer.method + "."),
    )


def sizing_view(answer: "Sizing") -> "RenderableType":
    """Show what an experiment takes."""
    from vedette.experiments.planning import plans_table

    powers = list(answer.needed[0].units)
    effect = say_number if answer.absolute else say_percent
    rows = [(effect(it.mde), *(f"{it.units[power]:,}" for power in powers)) for it in answer.needed]
    designs = plans_table(answer.designs)
    return _stacked(
        text(answer.plan.sentence, "bold"),
        _laid(designs),
        table((f"UNITS IN ALL ({answer.plan.design})", *(f"POWER {_share(power)}" for power in powers)), rows),
        _lines(*designs.notes),
    )


def _laid(shown: Table, mark: str = "", without: Sequence[str] = ()) -> "RenderableType":
    """Lay a result's table out, some columns left out; the cells of `mark` are coloured by what they say."""
    kept = [place for place, name in enumerate(shown.columns) if name not in without]
    names = [shown.columns[place] for place in kept]
    speakers = [shown.says.get(name, say) for name in names]
    rows = []
    for row in shown.rows:
        cells: list[Any] = [
            UNKNOWN if cell is None else speak(cell)
            for speak, cell in zip(speakers, (row[place] for place in kept), strict=True)
        ]
        if mark:
            place = names.index(mark)
            cells[place] = text(cells[place], _STYLES.get(cells[place], ""))
        rows.append(cells)
    return table([name.upper() for name in names], rows)


def _standings(report: "ExperimentReport", without: Sequence[str] = ()) -> "RenderableType":
    return _laid(report.table(), without=without)


def _crossed(found: "Iterable[TwoModels]") -> "RenderableType":
    rows = [
        (
            it.metric,
            f"{it.treatment} vs {it.reference}",
            f"{it.both:,}",
            f"{it.treatment_only:,}",
            f"{it.reference_only:,}",
            f"{it.neither:,}",
            say_percent(it.difference),
            say_interval(it.low, it.high, say_percent),
            say_p(it.p_value),
        )
        for it in found
    ]
    names = ("1 OR 0", "COMPARISON", "BOTH 1", "FIRST", "SECOND", "BOTH 0", "DIFFERENCE", "INTERVAL", "P (MCNEMAR)")
    return table(names, rows)


def _split(report: "ExperimentReport") -> str:
    if report.split_p_value is None:
        return "The split was not checked."
    state = "broken" if report.split_p_value < SRM_ALPHA else "as intended"
    return f"Split: {state} ({say_p_in_words(report.split_p_value)})."


def _worth(report: "ExperimentReport") -> str:
    best = report.winner
    if best is None or best.variant != report.verdict.winner:
        return ""
    worth, looks = say_number(best.estimate), say_number(best.naive)
    if worth == looks:
        return ""
    return (
        f"{best.variant} was picked for looking best ({looks} in {report.primary}); "
        f"expect {worth} of it ({say_interval(best.low, best.high)})."
    )


def _careful(cautions: "Mapping[Caution, str]") -> "RenderableType | None":
    if not cautions:
        return None
    return _lines(
        *(f"{code.value if hasattr(code, 'value') else code}: {meaning}" for code, meaning in cautions.items())
    )


def _share(part: float) -> str:
    return say_percent(part, signed=False)


def _lines(*said: str) -> "RenderableType":
    return text("\n".join(line for line in said if line))


def _stacked(*parts: "RenderableType | None") -> "RenderableType":
    from rich.console import Group

    shown: list[Any] = []
    for part in parts:
        if part is not None and str(part) != "":
            shown += [*([""] if shown else []), part]
    return Group(*shown)
