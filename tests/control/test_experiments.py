"""Every verb of an experiment and everything it refuses; the plan that follows; who is in it and who is not."""

import threading

import pytest
from tests.control.trials import USES, actions, arms_of, audited, draft, parameters, prepare

from vedette.catalog.domain import DomainSpec
from vedette.experiments.machine import Phase
from vedette.experiments.metrics import MetricUse
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.documents import load
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StaleRevision
from vedette.routing.override import Override
from vedette.store import experiments


def test_a_test_is_drafted_as_the_proposal_writes_it(trial):
    """Names of versions and splits are enough beside the metrics; the draft exposes nobody and can be read back."""
    made = trial.plane.experiments.create_test("pay", ["v1", "v2"], [0.7, 0.3], actor="ada", metrics=["accuracy"])
    assert trial.plane.experiments.get(made.name) == trial.plane.experiments.get(made.id) == made
    assert (made.status.phase, made.spec.control_name, made.name[:4]) == (Phase.DRAFT, "v1", "pay-")
    assert [(it.name, it.weight, it.override.version) for it in made.spec.variants] == [
        ("v1", 0.7, "v1"),
        ("v2", 0.3, "v2"),
    ]
    assert made.spec.metrics == (MetricUse(metric="accuracy", role="primary"),)
    assert trial.plane.traffic.plan("pay").layers == ()
    assert audited(trial) == ["experiment.create"]


def test_variants_are_taken_in_every_form(lab):
    """Names, mappings, objects and a whole spec say the same; splits may be percent or go by name."""
    variants = [Variant(name="base"), {"name": "new", "override": {"version": "v2"}}, "v3"]
    made = lab.plane.experiments.create_test("pay", variants, [50, 25, 25], actor="ada", name="a", metrics=USES)
    assert [it.weight for it in made.spec.variants] == [0.5, 0.25, 0.25]
    named = lab.plane.experiments.create_test(
        "pay", ["control", "v2"], {"v2": 0.1, "control": 0.9}, actor="ada", name="b", metrics=USES
    )
    assert [(it.name, it.weight, it.override) for it in named.spec.variants] == [
        ("control", 0.9, Override()),
        ("v2", 0.1, Override(version="v2")),
    ]
    whole = lab.plane.experiments.create_test("pay", made.spec, actor="ada", name="c")
    assert whole.spec == made.spec


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ([0.5, 0.4], "add up to 1 .or 100 %., not 0.9"),
        ([0.5, 0.6], "not 1.1"),
        ([60, 50], "not 110"),
        ([0.5, 0.25, 0.25], "3 splits do not belong to 2 variants"),
        ([1.2, -0.2], "above 0"),
        ([1.0, 0.0], "above 0"),
        ([float("nan"), 0.5], "not nan"),
        ({"v1": 0.5, "v9": 0.5}, "name every variant once"),
    ],
)
def test_splits_that_do_not_add_up_are_refused_with_their_sum(lab, splits, said):
    """Splits that are not a split of the whole are refused, saying to what they add up."""
    with pytest.raises(InvalidInput, match=said):
        lab.plane.experiments.create_test("pay", ["v1", "v2"], splits, actor="ada", metrics=USES)
    assert lab.plane.experiments.page().items == ()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"variants": ("v1", "v9")}, NotFound, "'v9' is no version of 'pay'"),
        ({"variants": ("v1", {"name": "b", "override": {"version": "v9"}})}, NotFound, "v9"),
        ({"metrics": ["beauty"]}, NotFound, "no metric 'beauty'"),
        ({"metrics": [{"metric": "accuracy"}]}, InvalidInput, "one metric decides"),
        ({"alpha": 2}, InvalidInput, "alpha must lie"),
        ({"colour": "red"}, InvalidInput, "colour: unknown field"),
        ({"dimensions": ("cookie",)}, InvalidInput, "cookie cannot be a dimension"),
        ({"on_winner": "promote", "rollout": {"steps": []}}, InvalidInput, "step"),
        ({"offline": True, "allocation": {"kind": "top-two"}}, InvalidInput, "no traffic to move"),
        ({"offline": True, "dimensions": ("country",)}, InvalidInput, "no requests to break down"),
        ({"domain": "law"}, NotFound, "law"),
    ],
)
def test_designs_that_cannot_be_are_refused_and_nothing_is_written(lab, changes, error, said):
    """What could never run is refused when it is drafted, saying what is wrong."""
    before = lab.everything()
    with pytest.raises(error, match=said):
        draft(lab, *changes.pop("variants", ("v1", "v2")), **changes)
    assert lab.everything() == before


def test_a_whole_spec_is_taken_alone(lab):
    """A spec brings its own splits, design and domain."""
    spec = draft(lab).spec
    with pytest.raises(InvalidInput, match="one or the other"):
        lab.plane.experiments.create_test("pay", spec, [0.5, 0.5], actor="ada")
    with pytest.raises(InvalidInput, match="is of domain 'pay'"):
        lab.plane.experiments.create_test("law", spec, actor="ada")


def test_a_dry_run_checks_and_writes_nothing(lab):
    """With dry_run the experiment comes back as it would be, and is not there."""
    before = lab.everything()
    assert draft(lab, dry_run=True).status.phase is Phase.DRAFT
    assert lab.everything() == before
    with pytest.raises(NotFound, match="'tone'"):
        lab.plane.experiments.get("tone")


def test_names_are_taken_once(lab):
    """A second experiment of a name is refused."""
    draft(lab)
    with pytest.raises(Conflict, match="exists already"):
        draft(lab)


def test_starting_publishes_a_plan_with_the_experiment(trial):
    """Start exposes the coverage asked for, in one layer, with the override of every arm, and says so everywhere."""
    draft(trial, parameters("base", temperature=0.7), parameters("cold", temperature=0.0), coverage=50, reserve=80)
    started = trial.plane.experiments.start("tone", actor="ada", why="let us see")
    (layer,) = trial.plane.traffic.plan("pay").layers
    (running,) = layer.experiments
    assert (layer.name, layer.salt, running.name, running.salt) == ("default", "default", "tone", started.id)
    assert (running.held, running.exposed, running.epoch) == (800_000, 500_000, 1)
    assert running.overrides["cold"].parameters == {"temperature": 0.0}
    assert started.status.started_at == trial.clock.now()
    assert 900 < len(arms_of(trial)) < 1100
    assert (actions(trial), audited(trial)) == (["start"], ["experiment.create", "experiment.start"])
    (said,) = trial.plane.experiments.decisions("tone").items
    assert (said.actor, said.decision.sentence, said.phase) == ("ada", "let us see", Phase.RUNNING)


def test_versions_on_trial_come_with_their_backends(lab):
    """A plan names the backend of every version an arm serves, and the hold-out of its domain."""
    lab.domain("law", versions=("v1", "v2", "v3"), hold_out="5%")
    draft(lab, "v1", "v2", domain="law", metrics=["errors"])
    lab.plane.experiments.start("tone", actor="ada")
    plan = lab.plane.traffic.plan("law")
    assert (set(plan.backends), plan.hold_out) == ({"v1", "v2"}, 50_000)


def test_start_is_admitted_only_where_it_can_run(lab):
    """An archived domain, one without a stable version, too much coverage and a second start are refused."""
    lab.domain("law", versions=())
    draft(lab, parameters("a", top_p=0.1), parameters("b", top_p=0.2), domain="law", name="early", metrics=["errors"])
    with pytest.raises(Refused, match="no stable version"):
        lab.plane.experiments.start("early", actor="ada")
    lab.plane.domains.archive("law", actor="ada")
    with pytest.raises(Refused, match="'law' is archived"):
        lab.plane.experiments.start("early", actor="ada")
    draft(lab, coverage=10)
    for coverage in (20, 0):
        with pytest.raises(InvalidInput, match="coverage must be above 0% and at most 10%"):
            lab.plane.experiments.start("tone", coverage, actor="ada")
    lab.plane.experiments.start("tone", "5%", actor="ada")
    with pytest.raises(Refused, match="cannot start an experiment that is running"):
        lab.plane.experiments.start("tone", actor="ada")
    with pytest.raises(InvalidInput, match="names its actor"):
        lab.plane.experiments.stop("tone")


def test_experiments_of_one_layer_exclude_each_other(lab):
    """Two experiments of a layer share no unit, and the layer says how much is free when a third has no room."""
    draft(lab, coverage=60)
    draft(lab, name="second", coverage=30)
    draft(lab, name="third", coverage=20)
    lab.plane.experiments.start("tone", actor="ada")
    lab.plane.experiments.start("second", actor="ada")
    with pytest.raises(Refused, match=r"'default' has 10 % free, and 20 % are asked for .*wait for tone, second"):
        lab.plane.experiments.start("third", actor="ada")
    assert not arms_of(lab).keys() & arms_of(lab, "second").keys()
    lab.plane.experiments.stop("tone", actor="ada")
    lab.plane.experiments.start("third", actor="ada")
    assert not arms_of(lab, "third").keys() & arms_of(lab, "second").keys()


def test_layers_overlap_unless_they_change_the_same_thing(lab):
    """Experiments of two layers have units in common, but one thing is changed by one of them only (Tang et al.)."""
    draft(lab)
    cold = (parameters("base", temperature=0.7), parameters("cold", temperature=0.0))
    draft(lab, *cold, name="heat", layer="decoding")
    draft(lab, "v1", "v3", name="other", layer="decoding", coverage=50)
    lab.plane.experiments.start("tone", actor="ada")
    lab.plane.experiments.start("heat", actor="ada")
    assert len(arms_of(lab).keys() & arms_of(lab, "heat").keys()) == 2000
    lab.plane.experiments.stop("heat", actor="ada")
    with pytest.raises(Refused, match="'tone', which runs in layer 'default', changes version as well"):
        lab.plane.experiments.start("other", actor="ada")
    lab.plane.experiments.stop("tone", actor="ada")
    lab.plane.experiments.start("other", actor="ada")


def test_a_ramp_moves_nobody(trial):
    """Raising coverage keeps everybody's arm, beyond what was reserved too; lowering it is refused, saying why."""
    draft(trial, coverage=5, reserve=40)
    trial.plane.experiments.start("tone", actor="ada")
    seen = arms_of(trial)
    for coverage in ("20%", 40, 90):
        trial.plane.experiments.ramp("tone", coverage, actor="ada")
        grown = arms_of(trial)
        assert seen.items() <= grown.items()
        assert abs(len(grown) / 2000 - (float(str(coverage).rstrip("%")) / 100)) < 0.03
        seen = grown
    with pytest.raises(Refused, match="would move people out of their arms"):
        trial.plane.experiments.ramp("tone", 50, actor="ada")
    draft(trial, name="second", coverage=10)
    trial.plane.experiments.start("second", actor="ada")
    with pytest.raises(Refused, match="has 0 % free"):
        trial.plane.experiments.ramp("tone", 95, actor="ada")
    assert trial.plane.experiments.get("tone").status.epoch == 1
    assert actions(trial) == ["start", "ramp", "ramp", "ramp"]


def test_stopping_an_arm_moves_nobody_else(trial):
    """An arm taken out gives its units back to the domain; the others keep theirs; the last treatment ends it all."""
    draft(trial, "v1", "v2", "v3")
    trial.plane.experiments.start("tone", actor="ada")
    seen = arms_of(trial)
    stopped = trial.plane.experiments.stop_arm("tone", "v2", actor="ada", why="too slow")
    assert arms_of(trial) == {unit: arm for unit, arm in seen.items() if arm != "v2"}
    assert (stopped.status.epoch, stopped.status.stopped_arms[0].because) == (2, "too slow")
    assert set(trial.plane.traffic.plan("pay").backends) == {"v1", "v3"}
    with pytest.raises(InvalidInput, match="'v2' was taken out already"):
        trial.plane.experiments.stop_arm("tone", "v2", actor="ada")
    with pytest.raises(InvalidInput, match="'v9' is no variant"):
        trial.plane.experiments.stop_arm("tone", "v9", actor="ada")
    with pytest.raises(Refused, match="'v1' is the control"):
        trial.plane.experiments.stop_arm("tone", "v1", actor="ada")
    ended = trial.plane.experiments.stop_arm("tone", "v3", actor="ada")
    assert (ended.status.phase, arms_of(trial)) == (Phase.STOPPED, {})
    assert trial.plane.traffic.plan("pay").layers == ()
    assert audited(trial) == ["experiment.create", "experiment.start", "experiment.stop-arm", "experiment.stop"]


def test_a_stopped_experiment_is_decided_and_archived_and_never_starts_again(trial):
    """Stop exposes nobody; decide names a winner or nobody, and may be corrected; archive ends it."""
    draft(trial)
    with pytest.raises(Refused, match="cannot stop an experiment that is draft"):
        trial.plane.experiments.stop("tone", actor="ada")
    with pytest.raises(Refused, match="cannot decide"):
        trial.plane.experiments.decide("tone", "v2", actor="ada")
    trial.plane.experiments.start("tone", actor="ada")
    with pytest.raises(Refused, match="cannot archive"):
        trial.plane.experiments.archive("tone", actor="ada")
    trial.plane.experiments.stop("tone", actor="ada", why="enough")
    assert arms_of(trial) == {}
    with pytest.raises(InvalidInput, match="'v9' is no variant"):
        trial.plane.experiments.decide("tone", "v9", actor="ada")
    first = trial.plane.experiments.decide("tone", "v2", actor="bob", why="cheaper")
    assert (first.status.conclusion.winner, first.status.conclusion.by) == ("v2", "bob")
    assert (first.status.conclusion.because, first.status.conclusion.verdict) == ("cheaper", "insufficient")
    assert trial.plane.experiments.decide("tone", actor="eve").status.conclusion.winner == ""
    archived = trial.plane.experiments.archive("tone", actor="ada")
    assert archived.status.phase is Phase.ARCHIVED
    for verb in (trial.plane.experiments.start, trial.plane.experiments.stop, trial.plane.experiments.archive):
        with pytest.raises(Refused):
            verb("tone", actor="ada")
    assert actions(trial) == ["start", "stop", "decide", "decide", "archive"]
    assert trial.plane.governance.verify() == ()


def test_deciding_a_running_experiment_stops_it(lab):
    """A person may decide at once: the experiment exposes nobody any more; an arm that was taken out cannot win."""
    draft(lab, "v1", "v2", "v3")
    lab.plane.experiments.start("tone", actor="ada")
    lab.plane.experiments.stop_arm("tone", "v2", actor="ada")
    with pytest.raises(Refused, match="'v2' was taken out"):
        lab.plane.experiments.decide("tone", "v2", actor="ada")
    assert lab.plane.experiments.get("tone").status.phase is Phase.RUNNING
    decided = lab.plane.experiments.decide("tone", "v3", actor="ada")
    assert (decided.status.phase, decided.status.exposed, arms_of(lab)) == (Phase.DECIDED, 0, {})


def test_restarting_a_layer_keeps_people_where_they_are(lab):
    """The hash of a layer is fixed for ever: the next experiment of the same size has the same people."""
    draft(lab, coverage=30)
    draft(lab, name="second", coverage=30)
    lab.plane.experiments.start("tone", actor="ada")
    first = arms_of(lab)
    lab.plane.experiments.stop("tone", actor="ada")
    lab.plane.experiments.start("second", actor="ada")
    second = arms_of(lab, "second")
    assert first.keys() == second.keys()
    assert 0.4 < sum(first[unit] == arm for unit, arm in second.items()) / len(second) < 0.6


def test_an_expected_revision_guards_every_verb(lab):
    """A verb that expects another revision than there is changes nothing."""
    made = draft(lab)
    started = lab.plane.experiments.start("tone", actor="ada", expected=made.revision)
    before = lab.everything()
    for verb in (
        lambda: lab.plane.experiments.ramp("tone", 100, actor="ada", expected=1),
        lambda: lab.plane.experiments.stop_arm("tone", "v2", actor="ada", expected=1),
        lambda: lab.plane.experiments.stop("tone", actor="ada", expected=1),
        lambda: lab.plane.experiments.decide("tone", actor="ada", expected=1),
        lambda: lab.plane.experiments.archive("tone", actor="ada", expected=1),
        lambda: lab.plane.experiments.start("tone", actor="ada", expected=1),
    ):
        with pytest.raises(StaleRevision, match=f"revision {started.revision}, not 1"):
            verb()
    assert lab.everything() == before


def test_applying_drafts_changes_drafts_and_leaves_the_rest(lab):
    """Applying a spec drafts it or changes the draft; an equal one changes nothing; a running one is refused."""
    spec = draft(lab).spec
    assert lab.plane.experiments.apply("tone", spec, actor="ada").revision == 1
    wider = load(ExperimentSpec, {"domain": "pay", "variants": spec.variants, "metrics": spec.metrics, "alpha": 0.01})
    changed = lab.plane.experiments.apply("tone", wider, actor="ada")
    assert (changed.revision, changed.spec.alpha, lab.plane.experiments.get("tone").spec) == (2, 0.01, wider)
    lab.plane.experiments.start("tone", actor="ada")
    assert lab.plane.experiments.apply("tone", wider, actor="ada").status.phase is Phase.RUNNING
    with pytest.raises(Refused, match="'tone' is running: what it asks cannot change any more"):
        lab.plane.experiments.apply("tone", spec, actor="ada")
    prepare(lab, "law")
    elsewhere = load(ExperimentSpec, {"domain": "law", "variants": spec.variants, "metrics": spec.metrics})
    with pytest.raises(Conflict, match="is of domain 'pay'"):
        lab.plane.experiments.apply("tone", elsewhere, actor="ada")
    assert lab.plane.experiments.apply("young", elsewhere, actor="ada").status.phase is Phase.DRAFT
    assert audited(lab) == ["experiment.create", "experiment.revise", "experiment.start"]


def test_a_domain_with_running_experiments_is_kept(lab):
    """A domain is not archived, and loses no metric, while an experiment on it runs."""
    draft(lab)
    lab.plane.experiments.start("tone", actor="ada")
    with pytest.raises(Refused, match=r"1 running experiments depend on it \(stop its"):
        lab.plane.domains.archive("pay", actor="ada")
    with pytest.raises(Refused, match="'tone' measures accuracy"):
        lab.plane.domains.update("pay", DomainSpec(), actor="ada")
    lab.plane.experiments.stop("tone", actor="ada")
    lab.plane.domains.update("pay", DomainSpec(), actor="ada")
    lab.plane.domains.archive("pay", actor="ada")


def test_a_version_on_trial_runs_beside_a_rollout(lab):
    """An arm may serve a version while a rollout of the domain goes on; the plan has both."""
    lab.deploy(version="v2")
    draft(lab, "v1", "v3", coverage=20)
    lab.plane.experiments.start("tone", actor="ada")
    lab.turn()
    plan = lab.plane.traffic.plan("pay")
    assert (plan.canary.version, set(plan.backends)) == ("v2", {"v1", "v2", "v3"})


def test_listing_experiments(lab):
    """Experiments are listed by domain and by phase."""
    for name in ("a", "b"):
        draft(lab, name=name)
    lab.plane.experiments.start("a", actor="ada")
    assert [it.name for it in lab.plane.experiments.page(domain="pay").items] == ["b", "a"]
    assert [it.name for it in lab.plane.experiments.page(phase=Phase.RUNNING).items] == ["a"]
    assert lab.plane.experiments.page(domain="law").items == ()


def test_two_starts_at_once_take_separate_places(trial):
    """Two experiments of a layer that start at the same moment on two replicas never share a unit."""
    draft(trial, coverage=40)
    draft(trial, name="second", coverage=40)
    barrier = threading.Barrier(2)
    failed = []

    def begin(name):
        barrier.wait()
        for _ in range(5):
            try:
                trial.plane.experiments.start(name, actor="ada")
            except Conflict as error:
                failed.append(error)
            else:
                return

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("tone", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with trial.plane.store.reading() as connection:
        held = [it.status.stretches for it in experiments.running(connection, "pay")]
    assert sorted((part.begin, part.end) for parts in held for part in parts) == [(0, 400_000), (400_000, 800_000)]
    assert not arms_of(trial).keys() & arms_of(trial, "second").keys()
