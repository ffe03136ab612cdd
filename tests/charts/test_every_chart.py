"""Every picture is well-formed, says the same in words, cannot be made to run anything, and is the same every time."""

import re

import pytest
from tests.charts.reading import SVG, described, drawn_texts, every_name, nodes, number, root, said, words

from vedette.charts.boundaries import BoundaryLook, Names, boundary_plot
from vedette.charts.chart import Chart
from vedette.charts.forest import ForestRow, Tone, forest_plot
from vedette.charts.power import PowerCurve, power_plot
from vedette.charts.ranks import RankRow, rank_plot
from vedette.charts.sequence import SequencePoint, Track, sequence_plot
from vedette.charts.svg import text_width
from vedette.charts.timeline import Share, share_timeline
from vedette.kernel.errors import InvalidInput

PROBE = "</text><script>alert(1)</script>\"' onload=x & \x00\x1b ]]> end"
CLEAN = PROBE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")


def forest(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A forest plot in which every text is the name."""
    rows = [
        ForestRow(label=name, estimate=0.1, low=None, high=0.3, simultaneous=(None, 0.4), group=name, verdict=name),
        ForestRow(label="b", estimate=-0.2, low=-0.3, high=-0.1, p_value=0.001, tone=Tone.WORSE),
        ForestRow(label="c", estimate=None, verdict="too few"),
    ]
    return forest_plot(rows, title=name, subtitle=name, axis=name, favours=(name, name), width=width, height=height)


def ranks(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A rank plot in which every text is the name."""
    rows = [RankRow(label=name, low=1, high=2, tied=True, note=name), RankRow(label="b", low=2, high=3)]
    return rank_plot(rows, title=name, subtitle=name, axis=name, width=width, height=height)


def sequence(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A sequence plot in which every text is the name."""
    points = (
        SequencePoint(at=100, estimate=0.2, low=None, high=0.6),
        SequencePoint(at=200, estimate=None),
        SequencePoint(at=300, estimate=0.1, low=0.05, high=0.15),
        SequencePoint(at=400, estimate=0.1, low=0.06, high=0.14),
    )
    tracks = [Track(label=name, points=points), Track(label="b", points=points[2:])]
    return sequence_plot(
        tracks, title=name, subtitle=name, axis=name, effect=name, decided=390, width=width, height=height
    )


def boundaries(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A boundary plot in which every text is the name."""
    looks = [
        BoundaryLook(at=0.5, z=1.2, upper=2.96, lower=-2.96, futility=0.3),
        BoundaryLook(at=1.0, upper=1.97, lower=-1.97, futility=1.97),
    ]
    names = Names(upper=name, lower=name, futility=name)
    return boundary_plot(looks, title=name, subtitle=name, axis=name, names=names, width=width, height=height)


def power(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A power plot in which every text is the name."""
    curves = [
        PowerCurve(label=name, points=((100.0, 0.1), (2000.0, 0.9))),
        PowerCurve(label="b", points=((100.0, 0.1), (2000.0, 0.5))),
    ]
    return power_plot(curves, title=name, subtitle=name, axis=name, planned=(1900.0, 0.87), width=width, height=height)


def timeline(name: str, width: float = 640, height: float | None = None) -> Chart:
    """A timeline in which every text is the name."""
    shares = [Share(label=name, values=(0.5, 0.1)), Share(label="b", values=(0.2, 0.85))]
    return share_timeline([0.0, 7.0], shares, title=name, subtitle=name, axis=name, width=width, height=height)


KINDS = pytest.mark.parametrize("draw", [forest, ranks, sequence, boundaries, power, timeline])


@KINDS
def test_a_picture_is_well_formed_and_named(draw):
    """The picture is one XML document whose role, title and description assistive software can read."""
    chart = draw("lora-a")
    tree = root(chart)
    assert tree.tag == f"{SVG}svg"
    assert tree.get("role") == "img"
    title, description = (tree.find(f"{SVG}{tag}") for tag in ("title", "desc"))
    assert title is not None
    assert title.text == "lora-a"
    assert description is not None
    assert tree.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert "lora-a" in described(chart)


@KINDS
@pytest.mark.parametrize("width", [320, 640])
def test_no_label_becomes_markup(draw, width):
    """A hostile label is text wherever it stands; whole in the words of the picture, also where it is cut short."""
    chart = draw(PROBE, width)
    assert CLEAN in words(chart)
    tags = {node.tag.removeprefix(SVG) for node in root(chart).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "g", "text", "line", "path", "circle"}
    for text in drawn_texts(chart):
        whole = text.findtext(f"{SVG}title")
        assert whole is None or whole.startswith(said(text).removesuffix("…"))


@KINDS
def test_a_picture_runs_nothing_and_loads_nothing(draw):
    """No event handlers, no links, no references to anything outside."""
    chart = draw(PROBE)
    names = set(every_name(root(chart)))
    assert not [name for name in names if name.startswith("on") or name.endswith("href") or name == "style"]
    assert "url(" not in chart.svg
    assert chart.svg.count("http") == 1  # the name of SVG's vocabulary


@KINDS
def test_the_same_numbers_are_the_same_bytes(draw):
    """Drawing twice gives the same text; another label another identity, so that two can stand in one page."""
    assert draw("a").svg == draw("a").svg
    ids = [node.get("id") for chart in (draw("a"), draw("c")) for node in root(chart).iter() if node.get("id")]
    assert len(ids) == len(set(ids)) == 4


@KINDS
@pytest.mark.parametrize("width", [320, 480, 900])
@pytest.mark.parametrize("name", ["x", "a name of a variant that goes on and on, further than anyone would read"])
def test_every_text_lies_within_the_picture(draw, width, name):
    """No text is cut by the edge of the picture, however long the labels and however narrow it is."""
    chart = draw(name, width)
    height = number(root(chart), "height")
    for text in drawn_texts(chart):
        size = number(text, "font-size")
        wide = text_width(said(text), size, bold="bold" in text.get("class", ""))
        anchor = {None: 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor")]
        left = number(text, "x") - anchor * wide
        assert left >= 0, said(text)
        assert left + wide <= width + 1, said(text)
        assert size <= number(text, "y") <= height - 2, said(text)


@KINDS
def test_text_is_written_in_an_ink(draw):
    """Every text has one of the two inks, whose contrast is known."""
    for text in drawn_texts(draw("a")):
        assert {"ink", "muted"} & set(text.get("class", "").split())


@KINDS
def test_every_colour_is_a_class_of_the_style(draw):
    """No element has a colour of its own, and every class is known to the style."""
    chart = draw("a")
    assert not {"fill", "stroke", "color"} & set(every_name(root(chart)))
    style = root(chart).findtext(f"{SVG}style") or ""
    used = {name for node in root(chart).iter() for name in node.get("class", "").split()} - {"vedette-chart"}
    assert {name for name in used if f".{name}{{" not in style and f".{name}," not in style} == set()


@KINDS
def test_sizes_are_kept(draw):
    """Width is what was asked for; height is at least that."""
    tree = root(draw("a", 500, 700))
    assert (number(tree, "width"), number(tree, "height")) == (500, 700)
    assert tree.get("viewBox") == "0 0 500 700"


@KINDS
@pytest.mark.parametrize("size", [(100, None), (float("nan"), None), (640, 0), (640, float("inf"))])
def test_a_size_nobody_can_read_is_refused(draw, size):
    """A picture too narrow, or of no size, is refused."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        draw("a", *size)


@KINDS
def test_a_notebook_and_a_page_get_the_picture(draw):
    """A notebook shows the SVG, and the text of a chart is its SVG; its repr stays short."""
    chart = draw("a")
    assert chart._repr_svg_() == str(chart) == chart.svg
    assert len(repr(chart)) < 2000
    assert chart.table.title == "a"


@pytest.mark.parametrize(
    "draw",
    [
        lambda: forest_plot([], title="t"),
        lambda: rank_plot([], title="t"),
        lambda: sequence_plot([], title="t"),
        lambda: sequence_plot([Track(label="a", points=())], title="t"),
        lambda: boundary_plot([], title="t"),
        lambda: power_plot([], title="t"),
        lambda: share_timeline([0, 1], [], title="t"),
    ],
    ids=["forest", "ranks", "tracks", "looks of a track", "looks", "curves", "shares"],
)
def test_a_picture_of_nothing_is_refused(draw):
    """Without data there is no picture, and the error says what to give."""
    with pytest.raises(InvalidInput, match="nothing to draw") as caught:
        draw()
    assert caught.value.hint.startswith("give at least one")


def test_a_long_description_ends_with_a_pointer_to_the_table():
    """Beyond forty rows the description says how many more the table holds."""
    chart = rank_plot([RankRow(label=f"v{place}", low=1, high=50) for place in range(50)], title="t")
    assert described(chart).endswith("And 10 more, in the table.")
    assert len(re.findall(r"ranks 1 to 50", described(chart))) == 40
    assert len(chart.table.rows) == 50


def test_legends_wrap():
    """With many series the legend takes more lines, and the data still have their room."""
    curves = [
        PowerCurve(label=f"a design with a long name {place}", points=((1.0, 0.1), (2.0, 0.9))) for place in range(9)
    ]
    chart = power_plot(curves, title="t", width=400)
    assert len({text.get("y") for text in drawn_texts(chart) if "design" in said(text)}) == 9
    rules = nodes(chart, "line", "rule")
    assert max(number(rule, "y1") for rule in rules) - min(number(rule, "y1") for rule in rules) >= 60
