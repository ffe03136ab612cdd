"""The colours can be read and told apart, by anyone, on light and on dark."""

from itertools import combinations

import numpy as np
import pytest

from vedette.charts.theme import DARK, DASHES, LIGHT, STYLE, contrast

# Full deuteranopia and protanopia on linear RGB: Machado, Oliveira & Fernandes, IEEE TVCG 15 (2009), severity 1.
EYES = {
    "any": np.eye(3),
    "green-blind": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "red-blind": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def seen(colour: str, eye: str) -> np.ndarray:
    """A colour as an eye sees it, in CIE L*a*b*."""
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(EYES[eye] @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_is_that_of_the_standard():
    """Black on white is 21:1, a colour on itself 1:1, #767676 on white 4.54:1 (WCAG 2.2)."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#123456", "#123456") == 1.0
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.005)


@PALETTES
def test_text_stands_out(palette):
    """Both inks reach 4.5:1 on the ground and on what picks rows out."""
    for ink in (palette.ink, palette.muted):
        for ground in (palette.ground, palette.band):
            assert contrast(ink, ground) >= 4.5


@PALETTES
def test_text_stands_out_on_shaded_zones(palette):
    """Ink reaches 4.5:1 on the ground washed with any mark's colour, at the opacity of the style."""
    opacity = float(STYLE.split(".wash{opacity:")[1].split("}")[0])
    for colour in (palette.better, palette.worse, palette.muted, *palette.series):
        mixed = "#" + "".join(
            f"{round(opacity * int(colour[i : i + 2], 16) + (1 - opacity) * int(palette.ground[i : i + 2], 16)):02x}"
            for i in (1, 3, 5)
        )
        assert contrast(palette.ink, mixed) >= 4.5


@PALETTES
def test_marks_stand_out(palette):
    """Every mark reaches 3:1 on the ground."""
    assert min(contrast(colour, palette.ground) for colour in (palette.better, palette.worse, *palette.series)) >= 3.0


@PALETTES
@pytest.mark.parametrize("eye", EYES)
def test_series_differ_for_every_eye(palette, eye):
    """Any two series, and the three tones, differ by 15 or more in L*a*b*, also for the red-blind and green-blind."""
    for colours in (palette.series, (palette.better, palette.worse, palette.muted)):
        distances = [np.linalg.norm(seen(one, eye) - seen(two, eye)) for one, two in combinations(colours, 2)]
        assert min(distances) >= 15.0


def test_series_differ_without_colour():
    """Light and dark have as many series, and each its own dash."""
    assert len(LIGHT.series) == len(DARK.series) == len(DASHES) == len(set(DASHES))


def test_the_style_follows_the_reader_and_the_page():
    """The style knows a dark reader, lets the page choose, touches nothing outside pictures and loads nothing."""
    assert "@media (prefers-color-scheme:dark)" in STYLE
    assert "[data-theme=dark]" in STYLE
    selectors = [
        part.split("{")[0]
        for part in STYLE.replace("@media (prefers-color-scheme:dark){", "").split("}")
        if "{" in part
    ]
    assert all(".vedette-chart" in one for selector in selectors for one in selector.replace("],[", "]").split(","))
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert "<" not in STYLE
