"""The demo's data is real and held out, and its models are what they are said to be."""

import dataclasses
import json
import re
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vedette.connectors.local import LocalModel, digest_of
from vedette.demo.data import DemoDomain, load_domains
from vedette.demo.models import held_out_error, recipes, train, write_artefacts
from vedette.kernel.errors import Unavailable

DOMAINS = {domain.id: domain for domain in load_domains()}

# Held-out errors measured with scikit-learn 1.9.1 and courts-db 0.10.27.
MEASURED = {
    "legal": {"v1": 0.107, "v2-whole-catalogue": 0.059, "v2-three-states": 0.371},
    "digits": {"v1": 0.09125, "v2-curved": 0.0125, "v2-misjoined-labels": 0.37625},
    "pathology": {"v1": 41 / 369, "v2-standardised": 12 / 369, "v2-other-unit": 137 / 369},
}


def inputs_of(domain: DemoDomain) -> Any:
    """What a model of the domain is given for the held-out queries."""
    queries = [example.query for example in domain.held_out]
    return queries if domain.kind == "text" else np.array([json.loads(query) for query in queries])


@pytest.fixture(params=DOMAINS, scope="module")
def domain(request):
    """Each domain in turn."""
    return DOMAINS[request.param]


@pytest.fixture(scope="module")
def models(domain):
    """Its trained versions."""
    return train(domain)


@pytest.fixture(scope="module")
def artefacts(domain, tmp_path_factory):
    """Its versions on disk, by role."""
    written = write_artefacts(domain, tmp_path_factory.mktemp("demo") / domain.id)
    return {artefact.role: artefact for artefact in written}


def test_three_domains_one_of_them_of_texts():
    """The demo has three domains, and not all of them are numbers."""
    assert {domain.id: domain.kind for domain in DOMAINS.values()} == {
        "legal": "text",
        "digits": "vector",
        "pathology": "vector",
    }


def test_nothing_held_out_is_trained_on(domain):
    """No query is both trained on and held out, in whatever case and punctuation."""
    trained = {tuple(re.findall(r"\w+", example.query.casefold())) for example in domain.train}
    held_out = {tuple(re.findall(r"\w+", example.query.casefold())) for example in domain.held_out}
    assert not trained & held_out
    assert len(held_out) == len(domain.held_out) >= 300


def test_training_sees_the_training_records_only(domain, models):
    """Models trained where nothing is held out give the same answers: what is held out does not reach training."""
    blind = train(dataclasses.replace(domain, held_out=()))
    inputs = inputs_of(domain)
    for version, model in models.items():
        assert blind[version].predict(inputs).tolist() == model.predict(inputs).tolist()


def test_every_held_out_label_can_be_learnt(domain):
    """Each label that is asked for occurs among the training records."""
    assert {example.label for example in domain.held_out} == {example.label for example in domain.train}


def test_digits_are_the_ones_scikit_learn_ships():
    """The records are those of the package, each once, with the label it has there."""
    bunch = load_digits()
    shipped = {tuple(row): str(target) for row, target in zip(bunch.data.tolist(), bunch.target, strict=True)}
    domain = DOMAINS["digits"]
    records = [*domain.train, *domain.held_out]
    assert {tuple(json.loads(one.query)): one.label for one in records} == shipped
    assert len(records) == len(shipped) == 1797


def test_the_split_is_the_same_in_every_run(domain):
    """Loading again gives the same records on the same sides, in the same order."""
    assert {again.id: again for again in load_domains()}[domain.id] == domain


def test_held_out_errors_are_as_measured(domain, models):
    """Each version errs on held-out queries as often as the table in this file says, within one in a hundred."""
    errors = {version: held_out_error(model, domain) for version, model in models.items()}
    assert errors == pytest.approx(MEASURED[domain.id], abs=0.01)


def test_better_is_better_and_worse_is_worse(domain, models):
    """The better candidate errs at most 0.7 times as often as the incumbent, the worse one at least three times."""
    error = {recipe.role: held_out_error(models[recipe.version], domain) for recipe in recipes(domain)}
    assert 0.08 <= error["incumbent"] <= 0.15
    assert error["better"] <= 0.7 * error["incumbent"]
    assert error["worse"] >= 3 * error["incumbent"]


def test_the_worse_one_is_silent(artefacts):
    """Its own training data praises the worse candidate at least as much as the incumbent: no offline figure warns."""
    assert artefacts["worse"].metrics["training_accuracy"] >= 0.99
    assert artefacts["worse"].metrics["training_accuracy"] >= artefacts["incumbent"].metrics["training_accuracy"]


def test_the_incumbent_knows_only_part_of_the_data(domain, artefacts):
    """The incumbent was trained on a part of the records, the better candidate on all of them."""
    assert artefacts["incumbent"].metrics["training_examples"] < len(domain.train)
    assert artefacts["better"].metrics["training_examples"] == len(domain.train)


def test_artefacts_answer_as_the_models_they_hold(domain, models, artefacts):
    """Written, digested and loaded without any trust beyond skops' own, a version gives the answers it gave before."""
    queries, inputs = [example.query for example in domain.held_out], inputs_of(domain)
    for artefact in artefacts.values():
        assert artefact.digest == digest_of(artefact.path)
        loaded = LocalModel.load(artefact.path, artefact.digest, "skops")
        assert loaded.predict(queries) == models[artefact.version].predict(inputs).tolist()


def test_versions_are_told_apart(artefacts):
    """No two versions of a domain share a name, a file, a digest or a note."""
    for what in ("version", "path", "digest", "note"):
        values = sorted(str(getattr(artefact, what)) for artefact in artefacts.values())
        assert all(left != right for left, right in pairwise(values))


@pytest.mark.parametrize("module", ["courts_db", "sklearn.datasets"])
def test_without_the_data_the_demo_says_what_to_install(monkeypatch, module):
    """A missing package of data is named with the command that helps."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=r"pip install 'vedette\[demo\]'"):
        load_domains()


@pytest.mark.parametrize("module", ["skops.io", "sklearn.linear_model"])
def test_without_the_libraries_no_model_is_made(monkeypatch, tmp_path, domain, module):
    """A missing library is named with the command that helps."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=r"pip install 'vedette\[demo\]'"):
        write_artefacts(domain, tmp_path)
