"""The one place where text becomes markup unescaped: pictures that `vedette.charts` drew, and signs of our own."""

from markupsafe import Markup

from vedette.charts.chart import Chart
from vedette.charts.theme import STYLE

_INLINE_STYLE = f"<style>{STYLE}</style>"


def drawn(svg: str) -> Markup:
    """Give a picture without its style, which stands in the page's style sheets: nothing is inline."""
    return Markup(svg.replace(_INLINE_STYLE, ""))  # noqa: S704 - `charts.svg` escapes every text and attribute


def picture(chart: Chart) -> Markup:
    """Give the picture of a chart."""
    return drawn(chart.svg)


_ICONS = {
    "ok": "M3.5 8.5l3 3 6-7",
    "run": "M5 3.5l7 4.5-7 4.5z",
    "hold": "M5.5 3.5v9M10.5 3.5v9",
    "stop": "M4 4l8 8M12 4l-8 8",
    "warn": "M8 2.5l6 11H2zM8 6.5v3.5M8 11.8v.2",
    "wait": "M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3l2 2",
    "back": "M6 3L2.5 6.5 6 10M3 6.5h6.5a3.5 3.5 0 0 1 0 7H8",
    "test": "M6 2.5v4L2.8 13h10.4L10 6.5v-4M5 2.5h6",
    "dot": "M8 6a2 2 0 1 0 .01 0",
    "lock": "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
}


def icon(name: str) -> Markup:
    """Draw a small sign; words beside it say the same."""
    return Markup(  # noqa: S704 - our own paths
        f'<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">'
        f'<path d="{_ICONS[name]}"/></svg>'
    )
