"""The demo's domains: real records that come inside PyPI packages, split once into training and held-out ones.

Nothing is made up and nothing is downloaded. The split needs no randomness: records are ordered by the SHA-256 of
their query and the first ones are held out, so it is the same on every machine and no query is on both sides.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from vedette.kernel.errors import Unavailable
from vedette.kernel.records import record

_STATES = 10


@record
class Example:
    """A query as it goes over the wire, and its true label."""

    query: str
    label: str


@record
class DemoDomain:
    """A question that real records answer: ``train`` is for models, ``held_out`` for queries no model has seen.

    ``kind`` says whether a query is a text or a JSON array of numbers.
    """

    id: str
    title: str
    source: str
    licence: str
    kind: Literal["text", "vector"]
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]


def load_domains() -> tuple[DemoDomain, ...]:
    """Read the three domains: courts to states, pen strokes to digits, cell measurements to diagnoses.

    Raises:
        Unavailable: the packages that hold the data are not installed.
    """
    try:
        from courts_db import courts
        from sklearn.datasets import load_breast_cancer, load_digits
    except ImportError as error:
        raise Unavailable("the demo's data is not installed", hint="pip install 'vedette[demo]'") from error
    train, held_out = _split(_courts(courts), hold_out=1000)
    legal = DemoDomain(
        id="legal",
        title="Which state's court is it? US court names as opinions write them",
        source="courts-db, the Free Law Project",
        licence="BSD-2-Clause",
        kind="text",
        train=train,
        held_out=held_out,
    )
    train, held_out = _split(_vectors(load_digits(), whole=True), hold_out=800)
    digits = DemoDomain(
        id="digits",
        title="Which digit is it? Handwriting as 8 x 8 grey pixels",
        source="scikit-learn, from UCI Optical Recognition of Handwritten Digits",
        licence="CC-BY-4.0 (data), BSD-3-Clause (package)",
        kind="vector",
        train=train,
        held_out=held_out,
    )
    train, held_out = _split(_vectors(load_breast_cancer()), hold_out=369)
    pathology = DemoDomain(
        id="pathology",
        title="Malignant or benign? Cell nuclei measured under the microscope",
        source="scikit-learn, from UCI Breast Cancer Wisconsin (Diagnostic)",
        licence="CC-BY-4.0 (data), BSD-3-Clause (package)",
        kind="vector",
        train=train,
        held_out=held_out,
    )
    return legal, digits, pathology


def _courts(courts: Iterable[dict[str, Any]]) -> list[Example]:
    """Every name and citation of a court in the ten states with the most of them; ambiguous ones are left out.

    Of spellings that differ in case and punctuation only the first is kept: to a model of words they are one query.
    """
    spelling: dict[str, str] = {}
    states: defaultdict[str, set[str]] = defaultdict(set)
    for court in courts:
        for name in (court["name"], *court["examples"]):
            words = " ".join(re.findall(r"\w+", name.casefold()))
            spelling.setdefault(words, name)
            states[words].add(court["location"])
    known = [Example(query=spelling[words], label=where.pop()) for words, where in states.items() if len(where) == 1]
    largest = {state for state, _ in Counter(example.label for example in known).most_common(_STATES)}
    return [example for example in known if example.label in largest]


def _vectors(bunch: Any, *, whole: bool = False) -> list[Example]:  # noqa: ANN401 - scikit-learn ships no types
    rows = (bunch.data.astype(int) if whole else bunch.data).tolist()
    labels = (str(bunch.target_names[target]) for target in bunch.target)
    pairs = zip(rows, labels, strict=True)
    return [Example(query=msgspec.json.encode(row).decode(), label=label) for row, label in pairs]


def _split(examples: Iterable[Example], *, hold_out: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    ordered = sorted(examples, key=lambda example: hashlib.sha256(example.query.encode()).digest())
    return tuple(ordered[hold_out:]), tuple(ordered[:hold_out])
