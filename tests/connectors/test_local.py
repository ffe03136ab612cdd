"""The local backend: what it loads, what it refuses, what it answers."""

import hashlib
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris, load_wine
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from vedette.connectors.local import LocalModel, digest_of
from vedette.kernel.errors import Corrupt, InvalidInput, NotFound, Refused, Unavailable

WINE, CULTIVARS = load_wine(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
QUERIES = [json.dumps(row) for row in WINE.tolist()]
# Names of US courts, as they stand in courts-db (BSD-2-Clause).
COURTS = ["Pickaway County Circuit Court", "Mercer County Court of Quarter Sessions", "Shaker Heights Municipal Court"]
STATES = ["Ohio", "Pennsylvania", "Ohio"]


def _save(path, model):
    skops.io.dump(model, path)
    return path


def _load(path, *, kind="skops", **options):
    return LocalModel.load(path, digest_of(path), kind, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where this module's artefacts lie."""
    return tmp_path_factory.mktemp("artefacts")


@pytest.fixture(scope="module")
def wine_model():
    """A fitted model of vectors."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE, CULTIVARS)


@pytest.fixture(scope="module")
def wine_path(folder, wine_model):
    """Its artefact."""
    return _save(folder / "wine.skops", wine_model)


@pytest.fixture(scope="module")
def wine(wine_path):
    """It, loaded."""
    return _load(wine_path)


@pytest.fixture(scope="module")
def court_model():
    """A fitted model of texts."""
    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(COURTS, STATES)


@pytest.fixture(scope="module")
def courts(folder, court_model):
    """It, loaded."""
    return _load(_save(folder / "courts.skops", court_model))


def test_answers_are_those_of_the_model_that_was_saved(wine, wine_model):
    """A loaded model of vectors answers the labels the saved one answers, as strings, in order."""
    assert wine.predict(QUERIES) == [str(label) for label in wine_model.predict(WINE)]


def test_a_text_model_takes_the_string_itself(courts, court_model):
    """A model of texts gets the query unchanged, be it a court's name or something that looks like JSON."""
    queries = [*COURTS, "[1, 2, 3]"]
    assert courts.predict(queries) == court_model.predict(queries).tolist()


def test_no_query_no_answer(wine):
    """An empty batch has an empty answer."""
    assert wine.predict([]) == []


def test_a_batch_answers_as_its_queries_do_alone(wine):
    """What stands beside a query in a batch does not change its answer."""
    assert wine.predict(QUERIES[40:80]) == [wine.predict([query])[0] for query in QUERIES[40:80]]


def test_threads_share_a_model(wine):
    """Many threads that use one model at once get the answers one thread gets."""
    expected = wine.predict(QUERIES)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: [wine.predict([query])[0] for query in QUERIES], range(16)))
    assert answers == [expected] * 16


def test_digest_is_the_sha256_of_the_file(wine_path):
    """`digest_of` gives what sha256sum prints."""
    assert digest_of(wine_path) == hashlib.sha256(wine_path.read_bytes()).hexdigest()


def test_a_digest_may_name_its_algorithm(wine_path):
    """A digest is accepted with and without the prefix `sha256:`."""
    assert LocalModel.load(wine_path, f"sha256:{digest_of(wine_path)}", "skops").predict(QUERIES[:1]) == ["0"]


@pytest.mark.parametrize("kind", ["skops", "onnx"])
def test_other_bytes_than_registered_are_not_parsed(tmp_path, kind):
    """Bytes with another digest are called corrupt, with both digests named, whatever they hold."""
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    registered = "0" * 64
    with pytest.raises(Corrupt) as caught:
        LocalModel.load(path, registered, kind)
    assert registered in caught.value.message
    assert digest_of(path) in caught.value.message


def test_a_pickle_is_refused_and_never_run(tmp_path):
    """A pickle is refused by name, and the code in it does not run."""
    trap, path = tmp_path / "ran", tmp_path / "model.pkl"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(Refused, match="pickles are never opened"):
        _load(path)
    assert not trap.exists()


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_artefact_is_corrupt(tmp_path, wine_path, kept):
    """A file cut short is called corrupt even if it was registered like that."""
    data = wine_path.read_bytes()
    path = tmp_path / "cut.skops"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(Corrupt, match="no whole skops artefact"):
        _load(path)


def test_a_damaged_member_is_corrupt(tmp_path):
    """A flipped bit inside an archive is found even if it was registered like that."""
    weights = _save(tmp_path / "weights.skops", GaussianNB().fit(WINE, CULTIVARS))
    data = bytearray(weights.read_bytes())
    data[data.index(b"\x93NUMPY") + 130] ^= 1
    weights.write_bytes(data)
    with pytest.raises(Corrupt, match="CRC"):
        _load(weights)


def test_a_function_in_an_artefact_is_refused_by_name(tmp_path):
    """An artefact that would call a function on load or use is refused, and the function is named."""
    model = make_pipeline(FunctionTransformer(subprocess.getoutput), LogisticRegression())
    path = _save(tmp_path / "shell.skops", model)
    with pytest.raises(Refused, match=r"subprocess\.getoutput"):
        _load(path)


def test_a_type_is_trusted_only_by_name(tmp_path):
    """A decision tree's node table is refused until the caller names its type."""
    tree = DecisionTreeClassifier(random_state=0).fit(IRIS, SPECIES)
    path = _save(tmp_path / "tree.skops", tree)
    with pytest.raises(Refused, match=r"sklearn\.tree\._tree\.Tree"):
        _load(path)
    trusted = _load(path, trusted=["sklearn.tree._tree.Tree"])
    assert trusted.predict(["[5.1, 3.5, 1.4, 0.2]"]) == ["0"]


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (LogisticRegression(), "not fitted"),
        ({"weights": np.zeros(3)}, "dict"),
        (StandardScaler().fit(WINE), "StandardScaler"),
    ],
    ids=["unfitted", "no model", "no predictor"],
)
def test_what_cannot_predict_is_refused_at_load(tmp_path, held, why):
    """An artefact without a fitted predictor is refused when it is loaded, not at the first query."""
    with pytest.raises(Refused, match=why):
        _load(_save(tmp_path / "thing.skops", held))


def test_a_missing_file_is_not_found(tmp_path):
    """A path with no file is named as not found, by loading and by digesting."""
    path = tmp_path / "absent.skops"
    with pytest.raises(NotFound, match=r"absent\.skops"):
        LocalModel.load(path, "0" * 64, "skops")
    with pytest.raises(NotFound, match=r"absent\.skops"):
        digest_of(path)


def test_what_is_no_file_is_unavailable(tmp_path):
    """A path that cannot be read says why."""
    with pytest.raises(Unavailable, match="directory"):
        digest_of(tmp_path)


@pytest.mark.parametrize(("kind", "module"), [("skops", "skops.io"), ("skops", "sklearn"), ("onnx", "onnxruntime")])
def test_a_missing_library_says_what_to_install(wine_path, monkeypatch, kind, module):
    """Without the library for its kind an artefact is unavailable, and the message holds the command that helps."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=r"pip install 'vedette\[(local|onnx)\]'"):
        _load(wine_path, kind=kind)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "truncated"),
        ("red or white?", "malformed"),
        ("[1, 2, 3]", "got 3"),
        ("[]", "got 0"),
        ('{"alcohol": 14.2}', "got `object`"),
        (json.dumps(["14.2", *range(12)]), "got `str`"),
        (json.dumps([True, *range(12)]), "got `bool`"),
        (json.dumps([None, *range(12)]), "got `null`"),
        (json.dumps([float("nan"), *range(12)]), "malformed"),
        ("[1e999" + ", 0" * 12 + "]", "out of range"),
        ("[\ud800]", "surrogates"),
    ],
)
def test_a_bad_vector_names_what_was_expected(wine, query, why):
    """A query that is no vector of the right length says so, names what was expected and its place in the batch."""
    with pytest.raises(InvalidInput, match=r"expected a JSON array of 13 finite numbers") as caught:
        wine.predict([QUERIES[0], query])
    assert why in caught.value.message
    assert caught.value.details == {"position": 1}


@pytest.mark.parametrize("query", ["", " \n"])
def test_an_empty_text_is_no_query(courts, query):
    """A text model asks for a text."""
    with pytest.raises(InvalidInput, match="expected a text"):
        courts.predict([query])


@given(query=st.text() | st.lists(st.floats() | st.integers()).map(json.dumps))
def test_any_query_is_answered_or_called_bad(wine, query):
    """Whatever a client sends is answered with a label of the model or refused as bad input."""
    try:
        answer = wine.predict([query])
    except InvalidInput:
        return
    assert answer[0] in {"0", "1", "2"}


def test_a_model_that_fails_is_unavailable(tmp_path):
    """A model that raises on a good-looking query is unavailable, so that the caller can fall back."""
    model = make_pipeline(FeatureHasher(n_features=8), LogisticRegression()).fit([{"a": 1}, {"b": 1}], [0, 1])
    with pytest.raises(Unavailable, match=r"hasher\.skops failed: AttributeError"):
        _load(_save(tmp_path / "hasher.skops", model)).predict(["a"])


def test_one_label_a_query(tmp_path):
    """A model that answers two labels for a query is not passed off as one that answers one."""
    pairs = LinearRegression().fit(IRIS, IRIS[:, :2])
    with pytest.raises(Unavailable, match=r"\(1, 2\) where 1 labels were expected"):
        _load(_save(tmp_path / "pairs.skops", pairs)).predict(["[5.1, 3.5, 1.4, 0.2]"])


@pytest.fixture(scope="module")
def to_onnx():
    """The converter of scikit-learn models."""
    from skl2onnx import to_onnx  # slow to import, and not for every test

    return to_onnx


def _onnx_file(path, converted):
    path.write_bytes(converted.SerializeToString())
    return path


def test_onnx_vectors_answer_as_the_model_they_came_from(tmp_path, to_onnx, wine_model):
    """An ONNX model of vectors gives the labels of the scikit-learn model it was converted from."""
    converted = to_onnx(wine_model, WINE[:1].astype(np.float32), options={"zipmap": False})
    model = _load(_onnx_file(tmp_path / "wine.onnx", converted), kind="onnx")
    assert model.predict(QUERIES) == [str(label) for label in wine_model.predict(WINE)]
    assert model.predict([json.dumps([1e300] * 13)])[0] in {"0", "1", "2"}
    with pytest.raises(InvalidInput, match="13 finite numbers, got 1"):
        model.predict(["[1]"])


def test_onnx_texts_answer_as_the_model_they_came_from(tmp_path, to_onnx):
    """An ONNX model of texts takes the query's string."""
    from skl2onnx.common.data_types import StringTensorType

    # Lower-casing in ONNX needs the locale en_US.UTF-8, which a bare container has not.
    source = make_pipeline(CountVectorizer(lowercase=False), LogisticRegression()).fit(COURTS, STATES)
    converted = to_onnx(source, initial_types=[("query", StringTensorType([None, 1]))], options={"zipmap": False})
    model = _load(_onnx_file(tmp_path / "courts.onnx", converted), kind="onnx")
    assert model.predict(COURTS) == source.predict(COURTS).tolist()


def test_onnx_of_another_shape_is_refused(tmp_path, to_onnx, wine_model):
    """An ONNX model whose input has no known length is refused at load, with its input named."""
    from skl2onnx.common.data_types import FloatTensorType

    converted = to_onnx(wine_model, initial_types=[("rows", FloatTensorType([None, None]))], options={"zipmap": False})
    with pytest.raises(Refused, match="rows: tensor"):
        _load(_onnx_file(tmp_path / "loose.onnx", converted), kind="onnx")


@pytest.mark.usefixtures("to_onnx")
def test_what_is_no_onnx_is_corrupt(wine_path):
    """Bytes that ONNX Runtime cannot read are called corrupt."""
    with pytest.raises(Corrupt, match="no whole ONNX artefact"):
        _load(wine_path, kind="onnx")
