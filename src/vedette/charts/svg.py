"""SVG text from elements: every text and attribute is escaped, and a number that is none is refused.

What `element` gives is a `Drawn`; a child that is any other string is text and is escaped, so that no label can become
markup. Numbers are written to a hundredth of a pixel: the same input gives the same bytes on every machine.
"""

import math
import re

from vedette.kernel.errors import InvalidInput

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW = frozenset("iljtfrI.,:;'|!()[] ·")
_WIDE = frozenset("mwMW@%—…∞<>=+~#&−→")
_BOLD = 1.12


class Drawn(str):
    """Markup that is already written."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | float | None) -> Drawn:
    """Write an element; ``class_`` is class, ``stroke_width`` is stroke-width, None leaves an attribute out."""
    written = "".join(
        f' {_attribute(key)}="{escape(value if isinstance(value, str) else number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(child if isinstance(child, Drawn) else escape(child) for child in children)
    return Drawn(f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>")


def number(value: float) -> str:
    """Write a coordinate to a hundredth, without zeros that say nothing.

    Raises:
        InvalidInput: The value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise InvalidInput(f"{value} is no place on a chart", hint="leave points out whose numbers are not known")
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def path(points: list[tuple[float, float]], *, closed: bool = False) -> str:
    """Write the data of a path through points."""
    joined = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{joined}{'Z' if closed else ''}"


def escape(text: str) -> str:
    """Escape text for content and for attributes; signs that XML cannot hold become U+FFFD."""
    clean = _NOT_XML.sub("\ufffd", text)
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        clean = clean.replace(sign, entity)
    return clean


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimate how wide a text is in a sans-serif font of a size in pixels; rather too wide than too narrow."""
    ems = sum(
        0.4 if sign in _NARROW else 0.98 if sign in _WIDE or ord(sign) > 0x2E7F else 0.74 if sign.isupper() else 0.62
        for sign in text
    )
    return size * ems * (_BOLD if bold else 1.0)


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Cut a text to a room in pixels; an ellipsis says that there is more."""
    if text_width(text, size, bold=bold) <= room:
        return text
    cut = text
    while cut and text_width(cut.rstrip() + "…", size, bold=bold) > room:
        cut = cut[:-1]
    return cut.rstrip() + "…"


def wrapped(text: str, room: float, size: float, *, bold: bool = False) -> tuple[str, ...]:
    """Break a text between words into one line or two; what does not fit the second line is left to be cut."""
    words = text.split()
    count = len(words)
    while count > 1 and text_width(" ".join(words[:count]), size, bold=bold) > room:
        count -= 1
    return tuple(" ".join(part) for part in (words[:count], words[count:]) if part)


def label(
    text: str,
    x: float,
    y: float,
    *,
    class_: str,
    room: float = math.inf,
    size: float = 12,
    text_anchor: str | None = None,
) -> Drawn:
    """Write a text that fits its room; cut short, it keeps its whole in a `<title>`, which browsers show on hover."""
    said = fitted(text, room, size, bold="bold" in class_)
    whole = (element("title", text),) if said != text else ()
    return element("text", *whole, said, x=x, y=y, font_size=size, class_=class_, text_anchor=text_anchor)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
