"""Colours of the charts, light and dark: a palette that people with any colour vision can tell apart.

The hues are those of Okabe & Ito, "Color Universal Design" (2008), darkened or lightened where a mark would not stand
out from its ground, or not from another mark to a red-blind or green-blind eye. Text is always in one of the two inks,
at 4.5:1 or more (WCAG 2.2, 1.4.3); marks reach 3:1 (1.4.11). No difference is told by colour alone: series differ in
dash and marker too, and are named beside the data.

The style stands inside each picture. It follows the reader's colour scheme, and, inlined in a page, the page's own
choice (``data-theme`` on an element around it, or JupyterLab's). All rules are kept below one class, so that they
touch nothing else in the page. The text is constant: its hash may stand in a content security policy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The colours of one scheme, as ``#rrggbb``.

    Attributes:
        ground: Behind everything.
        ink: Text and the marks that matter most.
        muted: Text that helps: axes, notes.
        rule: Lines to read values by.
        band: Behind what is picked out.
        better: Marks of what speaks for a variant.
        worse: Marks of what speaks against it.
        series: Marks of one series after another.
    """

    ground: str
    ink: str
    muted: str
    rule: str
    band: str
    better: str
    worse: str
    series: tuple[str, ...]


LIGHT = Palette(
    ground="#ffffff",
    ink="#1b1f24",
    muted="#57606a",
    rule="#e1e4e8",
    band="#f1f5f9",
    better="#0072b2",
    worse="#d55e00",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#592300", "#12294a", "#4d4d4d"),
)
DARK = Palette(
    ground="#14171c",
    ink="#eceff3",
    muted="#a3adb9",
    rule="#2c323a",
    band="#1e242c",
    better="#56b4e9",
    worse="#f08a3c",
    series=("#56b4e9", "#d55e00", "#008763", "#e5c4d5", "#f0e442", "#0072b2", "#ffffff"),
)
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2")
"""Dash patterns of the series, beside their colours."""

_ROOT = ".vedette-chart"


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2, relative luminance)."""
    one, two = sorted((_luminance(first), _luminance(second)))
    return (two + 0.05) / (one + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rules(palette: Palette, root: str) -> str:
    """Text is filled, rules are stroked, marks are both; an open mark keeps its middle empty."""
    texts = {"ink": palette.ink, "muted": palette.muted, "ground": palette.ground, "band": palette.band}
    lines = {"rule": palette.rule, "axis": palette.muted, "strong": palette.ink}
    marks = {"better": palette.better, "worse": palette.worse, "neutral": palette.muted}
    marks |= {f"s{place}": colour for place, colour in enumerate(palette.series)}
    written = [f"{root} .{name}{{fill:{colour}}}" for name, colour in texts.items()]
    written += [f"{root} .{name}{{stroke:{colour}}}" for name, colour in lines.items()]
    written += [f"{root} .{name}{{fill:{colour};stroke:{colour}}}" for name, colour in marks.items()]
    written += [f"{root} .open{{fill:{palette.ground}}}", f"{root} .edge,{root} .halo{{stroke:{palette.ground}}}"]
    return "".join(written)


def _style() -> str:
    shape = (
        f"{_ROOT}{{max-width:100%;height:auto;font-variant-numeric:tabular-nums;"
        "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
        f"{_ROOT} .bold{{font-weight:600}}{_ROOT} .line{{fill:none!important}}{_ROOT} .bare{{stroke:none!important}}"
        f"{_ROOT} .wash{{opacity:.17}}"
        f"{_ROOT} .halo{{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}"
    )
    dark_page = f":is([data-theme=dark],[data-jp-theme-light=false]) {_ROOT}"
    light_page = f":is([data-theme=light],[data-jp-theme-light=true]) {_ROOT}"
    reader = f"@media (prefers-color-scheme:dark){{{_rules(DARK, _ROOT)}}}"
    return f"{shape}{_rules(LIGHT, _ROOT)}{reader}{_rules(DARK, dark_page)}{_rules(LIGHT, light_page)}"


STYLE = _style()
"""The style sheet that stands in every picture."""
