"""Circuit breakers: a backend that fails is left alone, and asked again with care."""

import pytest
from tests.gateway.stage import wait_for
from tests.routing.plans import layer, running

from vedette.catalog.breaker import Breaker
from vedette.gateway.breaker import Circuit
from vedette.kernel.errors import InvalidInput
from vedette.routing.override import Override

POLICY = Breaker(share=50.0, minimum=4, window=10.0, pause=5.0, probes=2)


def tries(circuit: Circuit, now: float, *went: bool) -> list[bool]:
    """Let tries end one after the other; gives which of them opened the circuit."""
    return [circuit.note(now, good=good) for good in went]


def open_at(now: float) -> Circuit:
    """Make a circuit that opened then."""
    circuit = Circuit(POLICY)
    assert tries(circuit, now, False, False, False, False)[-1]
    return circuit


def test_it_opens_when_half_of_the_tries_failed():
    """Fewer tries than the minimum, or fewer failures than the share, leave it closed; with both it opens."""
    circuit = Circuit(POLICY)
    assert tries(circuit, 0.0, False, False, False) == [False] * 3
    assert circuit.allow(0.0)
    assert tries(circuit, 1.0, False) == [True]
    assert not circuit.allow(1.0)
    other = Circuit(POLICY)
    assert tries(other, 0.0, True, True, True, True, False, False, False) == [False] * 7
    assert tries(other, 0.0, False) == [True]


def test_old_failures_are_forgotten():
    """Failures of more than a window ago do not open it."""
    circuit = Circuit(POLICY)
    tries(circuit, 0.0, False, False, False)
    tries(circuit, 6.0, True)
    assert tries(circuit, 20.0, False, False, False) == [False] * 3


def test_one_probe_at_a_time():
    """After the pause one request is let through; others are not before it ended, or was given up."""
    circuit = open_at(0.0)
    assert not circuit.allow(4.9)
    assert circuit.allow(6.5)
    assert not circuit.allow(6.6)
    assert circuit.wait(6.6) == pytest.approx(4.9)
    assert circuit.allow(11.6)


def test_good_probes_close_it():
    """So many good probes in a row close it, and its count begins anew."""
    circuit = open_at(0.0)
    for now in (7.0, 7.1):
        assert circuit.allow(now)
        assert not circuit.note(now, good=True)
    assert all(circuit.allow(7.2) for _ in range(10))
    assert tries(circuit, 7.2, False, False, False) == [False] * 3


def test_a_bad_probe_doubles_the_pause():
    """Each bad probe opens it for twice as long, up to eight times the pause."""
    circuit, now = open_at(0.0), 0.0
    for factor in (1, 2, 4, 8, 8):
        assert not circuit.allow(now + factor * POLICY.pause * 0.99)
        now += factor * POLICY.pause * 1.25
        assert circuit.allow(now)
        assert circuit.note(now, good=False)


def test_late_answers_do_not_count():
    """A try that began before it opened says nothing afterwards."""
    circuit = open_at(0.0)
    assert tries(circuit, 1.0, True, True, True, False) == [False] * 4
    assert not circuit.allow(1.0)


def test_what_never_opens_is_refused():
    """Every figure of a breaker is more than zero."""
    with pytest.raises(InvalidInput, match="probes"):
        Breaker(probes=0)


def test_a_failing_canary_is_spared_and_stable_answers(stage):
    """Once its circuit is open the canary is not asked; stable answers, and the canary failed all the same."""
    breaker = Breaker(minimum=3, pause=60.0)
    stage.publish(stage.plan("ok", "500", percent=100.0, retries=0, breaker=breaker))
    answers = [stage.chat() for _ in range(6)]
    assert {answer.headers["x-vedette-version"] for answer in answers} == {"v1"}
    assert stage.upstream.count("500") == 3
    outcomes = stage.outcomes(6)
    assert [(o.assigned, o.measures["error"], o.measures["fallback"]) for o in outcomes] == [("v2", 1, 1)] * 6
    figures = stage.get("/metrics").body.decode()
    assert 'vedette_circuit_opened_total{domain="payments",version="v2"} 1' in figures
    assert 'vedette_circuit_spared_total{domain="payments",version="v2"} 3' in figures


def test_without_another_version_callers_are_told_when_to_come_back(stage):
    """A spared stable answers 503 with Retry-After, and a new plan does not close its circuit."""
    breaker = Breaker(minimum=2, pause=30.0)
    stage.publish(stage.plan("garbage", retries=0, breaker=breaker))
    assert [stage.chat().status for _ in range(2)] == [502, 502]
    stage.publish(stage.plan("garbage", revision=2, retries=0, breaker=breaker))
    spared = stage.chat()
    assert (spared.status, spared.json["error"]["code"]) == (503, "circuit_open")
    assert 1 <= int(spared.headers["retry-after"]) <= 38


def test_a_backend_that_mends_is_asked_again(stage):
    """Once a probe is good the backend is asked as before."""
    breaker = Breaker(minimum=2, pause=0.1, probes=1)
    stage.publish(stage.plan("flaky:2", retries=0, breaker=breaker))
    assert [stage.chat().status for _ in range(3)] == [503, 503, 503]
    assert stage.upstream.count("flaky:2") == 2
    wait_for(lambda: stage.chat().status == 200)
    assert [stage.chat(stream=True).status for _ in range(3)] == [200] * 3


def test_requests_that_are_wrong_open_nothing(stage):
    """What a backend refuses for the client's sake is no failure of the backend."""
    stage.publish(stage.plan("422", retries=0, breaker=Breaker(minimum=1)))
    assert [stage.chat().status for _ in range(3)] == [422] * 3
    assert stage.upstream.count("422") == 3


def test_versions_of_experiments_have_circuits_too(stage):
    """A version that an experiment serves is spared like a canary."""
    arms = {"control": Override(version="v3"), "treatment": Override(version="v3")}
    stage.publish(
        stage.plan(
            "ok",
            backends={"v3": stage.backend("500")},
            layers=[layer(running(overrides=arms))],
            retries=0,
            breaker=Breaker(minimum=1, pause=60.0),
        )
    )
    assert [stage.chat().headers["x-vedette-version"] for _ in range(3)] == ["v1"] * 3
    assert stage.upstream.count("500") == 1
