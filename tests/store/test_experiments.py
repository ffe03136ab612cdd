"""Experiments are saved by compare-and-swap under a lease, with their decisions, kept looks and scores."""

import numpy as np
import pytest
from tests.experiments.things import evidence, measured, spec
from tests.experiments.things import running as begun
from tests.store.things import after

from vedette.evidence.joint import joint_moments
from vedette.experiments.advance import look_at, progress_of
from vedette.experiments.machine import Conclusion, ExperimentStatus, Phase
from vedette.experiments.recorded import judge_again, recorded
from vedette.experiments.report import report
from vedette.experiments.verdict import Status
from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import Conflict, LeaseLost, NotFound, StaleRevision
from vedette.kernel.records import evolve
from vedette.store import domains, experiments, leases, tables
from vedette.store.experiments import ExperimentDecision, ExperimentLook, StoredExperiment, StoredScores


def experiment(number=1, name="", domain="pay", **changes):
    """Make a draft whose id says its place in time."""
    asked = spec(domain=domain, **changes)
    return StoredExperiment(
        id=f"0000-{number:04}",
        name=name or f"test-{number}",
        domain=domain,
        spec=asked,
        status=ExperimentStatus(salt=f"0000-{number:04}", created_at=after(number)),
        created_at=after(number),
        created_by="ada",
        updated_at=after(number),
    )


@pytest.fixture
def drafted(catalogue):
    """A store with one drafted experiment."""
    with catalogue.transaction() as connection:
        experiments.create(connection, experiment())
    return catalogue


def test_experiment_reads_back_as_it_was_stored(catalogue):
    """Spec and status are read back equal, by id and by name."""
    made = evolve(experiment(), status=begun(spec(domain="pay")))
    with catalogue.transaction() as connection:
        experiments.create(connection, made)
    with catalogue.reading() as connection:
        assert experiments.get(connection, made.id) == made
        assert experiments.named(connection, "test-1") == made
        assert experiments.named(connection, "other") is None
        with pytest.raises(NotFound, match="'nope'"):
            experiments.get(connection, "nope")


def test_names_are_unique_and_domains_must_exist(drafted):
    """A second experiment of a name is refused, and so is one of a domain there is none of."""
    with pytest.raises(Conflict, match="'test-1' exists already"), drafted.transaction() as connection:
        experiments.create(connection, experiment(2, name="test-1"))
    with pytest.raises(NotFound, match="no domain 'law'"), drafted.transaction() as connection:
        experiments.create(connection, experiment(2, domain="law"))


def test_save_is_compare_and_swap(drafted):
    """A status decided from an old reading is refused and changes nothing."""
    old = experiment()
    with drafted.transaction() as connection:
        saved = experiments.save(connection, old, begun(old.spec), at=after(5), lease=None)
    assert (saved.revision, saved.status.phase, saved.updated_at) == (2, Phase.RUNNING, after(5))
    with pytest.raises(StaleRevision, match="revision 2, not 1"), drafted.transaction() as connection:
        experiments.save(connection, old, evolve(old.status, phase=Phase.ARCHIVED), at=after(6), lease=None)
    with pytest.raises(NotFound), drafted.transaction() as connection:
        experiments.save(connection, experiment(9), old.status, at=after(6), lease=None)
    with drafted.reading() as connection:
        assert experiments.get(connection, old.id) == saved


def test_save_needs_the_lease_it_was_decided_under(drafted):
    """What was decided under a lease that another holder took over is not written, revision right or not."""
    old = experiment()
    with drafted.transaction() as connection:
        (lost,) = leases.acquire(connection, ["experiment"], "a", ttl=60)
        leases.release(connection, [lost])
        (held,) = leases.acquire(connection, ["experiment"], "b", ttl=60)
    with pytest.raises(LeaseLost), drafted.transaction() as connection:
        experiments.save(connection, old, begun(old.spec), at=after(5), lease=lost)
    with drafted.transaction() as connection:
        assert experiments.save(connection, old, begun(old.spec), at=after(5), lease=held).revision == 2


def test_a_draft_is_revised_in_place(drafted):
    """Another spec takes the place of the old one, if nothing changed it since."""
    old, wanted = experiment(), spec(arms=("base", "brief"), domain="pay", layer="tone")
    with drafted.transaction() as connection:
        revised = experiments.revise(connection, old, wanted, at=after(3))
    with drafted.reading() as connection:
        assert experiments.get(connection, old.id) == revised
        row = connection.execute(tables.multi_variant_tests.select()).one()
    assert (row.layer, row.variants, row.revision) == ("tone", ["base", "brief"], 2)
    with pytest.raises(StaleRevision), drafted.transaction() as connection:
        experiments.revise(connection, old, wanted, at=after(4))


def test_searchable_columns_follow_spec_and_status(drafted):
    """Variants, splits, primary metric, phase and winner of the table users query are those of spec and status."""
    old = experiment()
    with drafted.reading() as connection:
        row = connection.execute(tables.multi_variant_tests.select()).one()
    assert (row.phase, row.primary_metric, row.winner, row.layer) == ("draft", "accepted", "", "default")
    assert row.traffic_splits == pytest.approx({"base": 1 / 3, "brief": 1 / 3, "long": 1 / 3})
    done = Conclusion(verdict="winner", winner="brief", by="ada", because="better", at=after(9))
    status = evolve(begun(old.spec), phase=Phase.DECIDED, conclusion=done, ended_at=after(9), awaiting_rollout="brief")
    with drafted.transaction() as connection:
        experiments.save(connection, old, status, at=after(9), lease=None)
        row = connection.execute(tables.multi_variant_tests.select()).one()
    assert (row.phase, row.winner, row.awaiting_rollout, row.ended_at) == ("decided", "brief", "brief", after(9))
    assert row.traffic_splits == pytest.approx({"base": 0.333333, "brief": 0.333334, "long": 0.333333}, abs=2e-6)


def test_moving_are_those_that_run_or_wait_for_a_rollout(catalogue):
    """The reconciler looks after running experiments and winners that wait; a domain is asked for what runs on it."""
    with catalogue.transaction() as connection:
        for number, phase in enumerate(Phase, start=1):
            made = experiment(number)
            experiments.create(connection, evolve(made, status=evolve(made.status, phase=phase)))
        waiting = experiment(9)
        status = evolve(waiting.status, phase=Phase.DECIDED, awaiting_rollout="brief")
        experiments.create(connection, evolve(waiting, status=status))
        assert [it.id for it in experiments.moving(connection)] == ["0000-0002", "0000-0009"]
        assert [it.id for it in experiments.running(connection, "pay")] == ["0000-0002"]
        assert experiments.running(connection, "law") == ()
        assert domains.dependants(connection, "pay") == {"running experiments": 1}


def test_listing_filters_by_domain_and_phase(catalogue):
    """Experiments are listed newest first, of one domain or in some phases when asked."""
    with catalogue.transaction() as connection:
        for number, phase in enumerate((Phase.DRAFT, Phase.RUNNING, Phase.STOPPED), start=1):
            made = experiment(number)
            experiments.create(connection, evolve(made, status=evolve(made.status, phase=phase)))
        listed = experiments.page(connection, domain="pay", limit=2)
        assert [it.id for it in listed.items] == ["0000-0003", "0000-0002"]
        rest = experiments.page(connection, domain="pay", after=listed.next, limit=2)
        assert ([it.id for it in rest.items], rest.next) == (["0000-0001"], None)
        phases = [Phase.DRAFT, Phase.STOPPED]
        assert [it.id for it in experiments.page(connection, phases=phases).items] == ["0000-0003", "0000-0001"]
        assert experiments.page(connection, domain="nope").items == ()


def test_decisions_read_back_in_order_with_their_evidence(drafted):
    """Decisions come back equal and in order, figures beyond all numbers as text."""
    broken = Decision(action=Action.STOP_ARM, reasons=(reason("guardrail-breach", p=5e-324, e_value=float("inf")),))
    kept = Decision(action=Action.STOP_ARM, reasons=(reason("guardrail-breach", p=5e-324, e_value="Infinity"),))
    with drafted.transaction() as connection:
        for epoch in (1, 2):
            experiments.add_decision(
                connection,
                ExperimentDecision(
                    experiment="0000-0001",
                    at=after(epoch),
                    epoch=epoch,
                    phase=Phase.RUNNING,
                    actor="reconciler",
                    decision=broken,
                ),
            )
        made = experiments.decisions(connection, "0000-0001").items
    assert [(it.epoch, it.decision, it.phase) for it in made] == [(1, kept, Phase.RUNNING), (2, kept, Phase.RUNNING)]


def test_a_kept_look_gives_its_answer_again(drafted):
    """A look comes back equal, digit by digit, and what was recorded with it leads to the very same answer."""
    asked = spec(domain="pay")
    seen = evidence(base={}, brief={"accepted": 0.56}, long={"requests": 20_100})
    status = begun(asked)
    analysis = look_at(asked, measured(asked), status, seen)
    units = {arm: float(seen.of(1, arm).requests) for arm in ("base", "brief", "long")}
    look = ExperimentLook(
        experiment="0000-0001",
        at=after(7),
        epoch=1,
        units=sum(units.values()),
        verdict=analysis.verdict.status,
        report=report(analysis, units),
        seen=recorded(analysis, progress_of(status)),
    )
    with drafted.transaction() as connection:
        experiments.add_look(connection, look)
        (read,) = experiments.looks(connection, "0000-0001").items
    assert evolve(read, id=0) == look
    assert read.verdict is Status.WINNER
    assert report(judge_again(asked, measured(asked), read.seen), units) == look.report


def test_scores_merge_over_uploads(drafted):
    """Uploads of scores come back with their prompts' digests and, merged, say what all rows together say."""
    draw = np.random.default_rng(3).normal(size=(2, 40))
    whole = joint_moments({"base:score": draw[0], "long:score": draw[1]})
    with drafted.transaction() as connection:
        for part in (slice(0, 15), slice(15, 40)):
            made = joint_moments({"base:score": draw[0, part], "long:score": draw[1, part]})
            marks = tuple(f"{number:016x}" for number in range(40)[part])
            experiments.add_scores(
                connection,
                StoredScores(
                    experiment="0000-0001",
                    at=after(1),
                    actor="ada",
                    prompts=len(marks),
                    left_out=1,
                    digests=marks,
                    moments=made,
                ),
            )
        first, second = experiments.scores(connection, "0000-0001")
    assert (first.prompts, second.prompts, second.digests[0]) == (15, 25, f"{15:016x}")
    merged = first.moments + second.moments
    assert merged.n == 40
    assert merged.cross == pytest.approx(whole.cross, rel=1e-12)
