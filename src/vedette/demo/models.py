"""The demo's models: per domain an incumbent, a truly better candidate, and one that is silently worse.

All are small scikit-learn pipelines trained on the domain's training records only. The worse ones fail as models do
in practice: they answer at once, in the right format, and look excellent on the data they were given. What is wrong
is that data: a part of the world is missing, labels are joined to the wrong rows, a unit differs from what is served.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from vedette.connectors.local import digest_of
from vedette.demo.data import DemoDomain, Example
from vedette.kernel.errors import Unavailable
from vedette.kernel.records import record

Role = Literal["incumbent", "better", "worse"]
"""What a version is in truth, which the demo's decisions must find out."""

Records = tuple[npt.NDArray[Any], npt.NDArray[np.str_]]
"""Inputs (texts, or a row of numbers each) and their labels, in the same order."""


@record
class Recipe:
    """How a version is made: what of the training records it gets, and the estimator that learns from it."""

    version: str
    role: Role
    note: str
    prepare: Callable[[Records], Records]
    estimator: Callable[[], Any]


@record
class Artefact:
    """A trained version on disk: ``metrics`` are what its own training data says of it, which can mislead."""

    version: str
    role: Role
    path: Path
    digest: str
    metrics: dict[str, float]
    note: str


def train(domain: DemoDomain) -> dict[str, Any]:
    """Train every version of ``domain``, by name, the incumbent first; the same in every run.

    Raises:
        Unavailable: scikit-learn is not installed.
    """
    return {recipe.version: _fit(recipe, domain)[0] for recipe in recipes(domain)}


def write_artefacts(domain: DemoDomain, folder: Path) -> list[Artefact]:
    """Train every version of ``domain`` and write each as a skops file into ``folder``, which is made if missing.

    Raises:
        Unavailable: scikit-learn or skops is not installed.
    """
    try:
        import skops.io
    except ImportError as error:
        raise Unavailable("the demo's models need skops", hint="pip install 'vedette[demo]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    artefacts = []
    for recipe in recipes(domain):
        model, metrics = _fit(recipe, domain)
        path = folder / f"{domain.id}-{recipe.version}.skops"
        skops.io.dump(model, path)
        artefacts.append(
            Artefact(
                version=recipe.version,
                role=recipe.role,
                path=path,
                digest=digest_of(path),
                metrics=metrics,
                note=recipe.note,
            )
        )
    return artefacts


def held_out_error(model: Any, domain: DemoDomain) -> float:  # noqa: ANN401 - scikit-learn ships no types
    """Give the share of the held-out queries, in [0, 1], that ``model`` labels wrongly."""
    inputs, labels = _records(domain, domain.held_out)
    return 1.0 - float(model.score(inputs, labels))


def recipes(domain: DemoDomain) -> tuple[Recipe, ...]:
    """Give the recipes of ``domain``: incumbent, better, worse.

    Raises:
        Unavailable: scikit-learn is not installed.
    """
    try:
        return _RECIPES[domain.id]()
    except ImportError as error:
        raise Unavailable("the demo's models need scikit-learn", hint="pip install 'vedette[demo]'") from error


def _legal() -> tuple[Recipe, ...]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def words() -> Any:  # noqa: ANN401 - scikit-learn ships no types
        return make_pipeline(CountVectorizer(), LogisticRegression(C=10.0, max_iter=500))

    return (
        Recipe(
            version="v1",
            role="incumbent",
            note="words of the first 750 court names",
            prepare=lambda records: _first(750, records),
            estimator=words,
        ),
        Recipe(
            version="v2-whole-catalogue",
            role="better",
            note="words of every court name there is to train on",
            prepare=_everything,
            estimator=words,
        ),
        Recipe(
            version="v2-three-states",
            role="worse",
            note="an old export: it holds three of the ten states served today",
            prepare=_three_states,
            estimator=words,
        ),
    )


def _digits() -> tuple[Recipe, ...]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    return (
        Recipe(
            version="v1",
            role="incumbent",
            note="a straight line between digits, from the first 100 images",
            prepare=lambda records: _first(100, records),
            estimator=lambda: LogisticRegression(max_iter=1000),
        ),
        Recipe(
            version="v2-curved",
            role="better",
            note="a curved border, from every image there is to train on",
            prepare=_everything,
            estimator=SVC,
        ),
        Recipe(
            version="v2-misjoined-labels",
            role="worse",
            note="half of the label file slipped by one row, and the model learnt it by heart",
            prepare=_misjoined,
            estimator=lambda: SVC(C=100.0),
        ),
    )


def _pathology() -> tuple[Recipe, ...]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def standardised() -> Any:  # noqa: ANN401 - scikit-learn ships no types
        return make_pipeline(StandardScaler(), LogisticRegression())

    return (
        Recipe(
            version="v1",
            role="incumbent",
            note="raw measurements of the first 100 patients: the areas drown the rest",
            prepare=lambda records: _first(100, records),
            estimator=SVC,
        ),
        Recipe(
            version="v2-standardised",
            role="better",
            note="every measurement on its own scale, from every patient there is to train on",
            prepare=_everything,
            estimator=standardised,
        ),
        Recipe(
            version="v2-other-unit",
            role="worse",
            note="its training export gave lengths in a unit ten times smaller than what is served",
            prepare=_other_unit,
            estimator=standardised,
        ),
    )


_RECIPES = {"legal": _legal, "digits": _digits, "pathology": _pathology}
_OLD_STATES = ("New York", "Ohio", "Pennsylvania")
# Of the ten measurements, each given as mean, error and worst, these have a length in them, to this power.
_LENGTHS = {0: 1, 2: 1, 3: 2}  # radius, perimeter, area


def _fit(recipe: Recipe, domain: DemoDomain) -> tuple[Any, dict[str, float]]:
    inputs, labels = recipe.prepare(_records(domain, domain.train))
    model = recipe.estimator().fit(inputs, labels)
    return model, {"training_examples": len(labels), "training_accuracy": float(model.score(inputs, labels))}


def _records(domain: DemoDomain, examples: tuple[Example, ...]) -> Records:
    labels = np.array([example.label for example in examples])
    if domain.kind == "text":
        return np.array([example.query for example in examples], dtype=object), labels
    return np.array([msgspec.json.decode(example.query) for example in examples], dtype=np.float64), labels


def _everything(records: Records) -> Records:
    return records


def _first(count: int, records: Records) -> Records:
    inputs, labels = records
    return inputs[:count], labels[:count]


def _three_states(records: Records) -> Records:
    inputs, labels = records
    kept = np.isin(labels, _OLD_STATES)
    return inputs[kept], labels[kept]


def _misjoined(records: Records) -> Records:
    inputs, labels = records
    half = len(labels) // 2
    return inputs, np.concatenate([np.roll(labels[:half], 1), labels[half:]])


def _other_unit(records: Records) -> Records:
    inputs, labels = records
    scale = np.ones(10)
    for measurement, power in _LENGTHS.items():
        scale[measurement] = 10.0**power
    return inputs * np.tile(scale, 3), labels
