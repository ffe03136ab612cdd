"""Reads a drawn picture back: its texts, its marks, the points of its paths."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from vedette.charts.chart import Chart

SVG = "{http://www.w3.org/2000/svg}"


def root(chart: Chart) -> ET.Element:
    """The picture as a tree."""
    return ET.fromstring(chart.svg)  # noqa: S314 - our own output


def words(chart: Chart) -> set[str]:
    """Whatever can be read in the picture: drawn texts, titles, the description."""
    return {"".join(node.itertext()) for node in root(chart).iter() if node.tag != f"{SVG}style"}


def drawn_texts(chart: Chart) -> list[ET.Element]:
    """The texts that are drawn."""
    return list(root(chart).iter(f"{SVG}text"))


def said(text: ET.Element) -> str:
    """What a drawn text shows; the whole of one cut short stands in a title inside and is not shown."""
    return (text.text or "") + "".join(child.tail or "" for child in text)


def described(chart: Chart) -> str:
    """The description for those who do not see the picture."""
    return root(chart).findtext(f"{SVG}desc") or ""


def nodes(chart: Chart, tag: str, *classes: str) -> list[ET.Element]:
    """Elements of a tag that have all these classes, in the order they are drawn."""
    wanted = set(classes)
    return [node for node in root(chart).iter(f"{SVG}{tag}") if wanted <= set(node.get("class", "").split())]


def number(node: ET.Element, name: str) -> float:
    """An attribute that is a number."""
    return float(node.attrib[name])


def points(node: ET.Element) -> list[tuple[float, float]]:
    """The corners of a path."""
    values = list(map(float, re.findall(r"-?\d+(?:\.\d+)?", node.attrib["d"])))
    return list(zip(values[::2], values[1::2], strict=True))


def every_name(tree: ET.Element) -> Iterator[str]:
    """All names of attributes."""
    for node in tree.iter():
        yield from node.attrib
