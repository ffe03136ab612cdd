"""The local backend: a model in this process, read from an artefact that can run no code.

Three gates stand before the first answer. The bytes must have the SHA-256 digest they were registered with, and it is
those very bytes that are parsed, so nothing can change in between. The format must be skops or ONNX: a pickle is never
opened. And every type in a skops artefact must be trusted, by skops (scikit-learn's estimators, numpy's and scipy's
arrays) or by name in ``trusted``.

A query is a string. A model of texts takes it as it is; a model of feature vectors takes a JSON array of numbers.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from vedette.kernel.errors import Corrupt, InvalidInput, NotFound, Refused, Unavailable

Kind = Literal["skops", "onnx"]
"""The formats an artefact can have."""

_ZIP = b"PK\x03\x04"
_VECTOR = msgspec.json.Decoder(list[float])
_ONNX_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64}


@dataclass(frozen=True, slots=True)
class _Model:
    """A parsed artefact: ``features`` numbers a query, or None for texts, and the function that labels a batch."""

    features: int | None
    label: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class LocalModel:
    """Answers queries with a model in this process; any number of threads may share it.

    Nothing is written after loading: scikit-learn's fitted estimators and ONNX Runtime's sessions only read while they
    predict, so there is no lock.
    """

    __slots__ = ("_model", "_name")

    def __init__(self, name: str, model: _Model) -> None:
        self._name = name
        self._model = model

    @classmethod
    def load(cls, path: Path, digest: str, kind: Kind, *, trusted: Sequence[str] = ()) -> Self:
        """Load the artefact at ``path`` if its SHA-256 is ``digest`` (hex) and nothing in it can run code.

        ``trusted`` names types a skops artefact may hold beyond those skops trusts itself, such as
        ``sklearn.tree._tree.Tree``, whose node table scikit-learn follows without looking.

        Raises:
            NotFound: no file is there.
            Corrupt: the digest is another one, or the bytes are no whole artefact.
            Refused: a pickle, an untrusted type, or an object that cannot answer queries.
            Unavailable: the file cannot be read, or the library for its kind is not installed.
        """
        data = _read(path)
        expected, found = digest.removeprefix("sha256:"), hashlib.sha256(data).hexdigest()
        if found != expected:
            raise Corrupt(f"{path} has digest {found}, but {expected} was registered", hint="register the file anew")
        model = _open_skops(path, data, trusted) if kind == "skops" else _open_onnx(path, data)
        return cls(path.name, model)

    def predict(self, queries: Sequence[str]) -> list[str]:
        """Give each query its label, in order, with one call of the model for the whole batch.

        Raises:
            InvalidInput: a query is not what the model takes; ``details["position"]`` is its place in the batch.
            Unavailable: the model failed on a query that looked right.
        """
        if not queries:
            return []
        rows = [self._row(position, query) for position, query in enumerate(queries)]
        batch = np.array(rows, dtype=object if self._model.features is None else np.float64)
        try:
            # A number so large that the model overflows gets some label, as any nonsense does: no client may make a
            # version fail.
            with np.errstate(all="ignore"):
                labels = self._model.label(batch)
        except Exception as error:
            raise Unavailable(f"local model {self._name} failed: {type(error).__name__}: {error}") from error
        if labels.shape != (len(queries),):
            raise Unavailable(
                f"local model {self._name} gave shape {labels.shape} where {len(queries)} labels were expected"
            )
        return [str(label) for label in labels.tolist()]

    def _row(self, position: int, query: str) -> str | list[float]:
        expected = self._model.features
        if expected is None:
            if query.strip():
                return query
            raise self._bad(position, "expected a text, got an empty one")
        try:
            vector = _VECTOR.decode(query)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise self._bad(position, f"expected a JSON array of {expected} finite numbers: {error}") from error
        if len(vector) != expected:
            raise self._bad(position, f"expected a JSON array of {expected} finite numbers, got {len(vector)}")
        return vector

    def _bad(self, position: int, why: str) -> InvalidInput:
        return InvalidInput(f"local model {self._name} cannot read the query: {why}", position=position)


def digest_of(path: Path) -> str:
    """Give the SHA-256 of the file at ``path``, in hex, as a version's ``digest`` states it.

    Raises:
        NotFound: no file is there.
        Unavailable: it cannot be read.
    """
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"no artefact at {path}") from error
    except OSError as error:
        raise Unavailable(f"cannot read the artefact at {path}: {error.strerror}") from error


def _open_skops(path: Path, data: bytes, trusted: Sequence[str]) -> _Model:
    try:
        import sklearn
        import skops.io
        from sklearn.utils.validation import check_is_fitted
    except ImportError as error:
        raise Unavailable("skops artefacts need scikit-learn and skops", hint="pip install 'vedette[local]'") from error

    if not data.startswith(_ZIP):
        raise Refused(f"{path} is no skops artefact", hint="pickles are never opened; save it with skops.io.dump")
    try:
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        estimator: Any = None if untrusted else skops.io.loads(data, trusted=list(trusted))
    except Exception as error:
        raise Corrupt(f"{path} is no whole skops artefact: {type(error).__name__}: {error}") from error
    if untrusted:
        raise Refused(f"{path} holds types that are not trusted: {', '.join(untrusted)}", untrusted=untrusted)
    try:
        check_is_fitted(estimator)
        predict = estimator.predict
    except (TypeError, AttributeError) as error:
        raise Refused(f"{path} holds a {type(estimator).__name__} that cannot predict: {error}") from error

    def label(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        # What goes in was checked before; checking it again costs more than the answer.
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return np.asarray(predict(batch))

    # scikit-learn's own word for a model of feature vectors; text vectorisers have no such number.
    return _Model(getattr(estimator, "n_features_in_", None), label)


def _open_onnx(path: Path, data: bytes) -> _Model:
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("an ONNX artefact needs ONNX Runtime", hint="pip install 'vedette[onnx]'") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # small models: a pool of spinning threads would cost more than it gives
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    try:
        # From bytes, ONNX Runtime reads no other file: tensors kept outside the artefact have no digest.
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Corrupt(f"{path} is no whole ONNX artefact: {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    first = inputs[0] if len(inputs) == 1 and outputs else None
    is_text = first is not None and first.type == "tensor(string)" and len(first.shape) in {1, 2}
    is_vector = first is not None and first.type in _ONNX_FLOATS and [type(size) for size in first.shape[1:]] == [int]
    if first is None or not (is_text or is_vector):
        takes = ", ".join(f"{one.name}: {one.type}{one.shape}" for one in inputs)
        raise Refused(f"{path} takes ({takes})", hint="one input, of strings or of float vectors of a fixed length")

    def label(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        rows = batch.astype(_ONNX_FLOATS[first.type]) if is_vector else batch.reshape([-1, 1][: len(first.shape)])
        return np.asarray(session.run([outputs[0].name], {first.name: rows})[0])

    return _Model(first.shape[1] if is_vector else None, label)
