"""What people ask of rollouts through the plane: each verb, what it refuses, and that refusals change nothing."""

import pytest
from tests.control.world import STEPS
from tests.rollouts.things import NOON

from vedette.kernel.documents import load
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StaleRevision
from vedette.rollouts.machine import ACTIVE, PauseReason, Phase
from vedette.rollouts.spec import RolloutSpec


def spec(**fields: object) -> RolloutSpec:
    """Make the spec that `World.deploy` makes."""
    return load(RolloutSpec, {"domain": "pay", "version": "v2", "steps": STEPS} | fields)


def test_healthy_version_earns_each_step(pay):
    """A good version climbs every step, keeps the hold-back on stable until the end, and becomes stable."""
    pay.deploy()
    assert pay.plane.versions.aliases("pay") == {"stable": "v1", "candidate": "v2"}
    assert pay.until(Phase.PROMOTED) == [0.0, 10.0, 50.0, 99.0, 100.0]
    assert pay.plane.versions.aliases("pay") == {"stable": "v2"}
    plan = pay.plane.traffic.plan("pay")
    assert (plan.stable, plan.canary, plan.weight) == ("v2", None, 0)
    assert [tenure.version for tenure in pay.plane.versions.tenures("pay").items] == ["v2", "v1"]
    assert pay.plane.versions.serving("pay", NOON).version == "v1"
    assert pay.plane.versions.serving("pay", pay.clock.now()).version == "v2"
    with pytest.raises(NotFound, match="nothing served"):
        pay.plane.versions.serving("pay", NOON.replace(year=2020))


def test_bad_version_is_taken_back(pay):
    """A version that fails is aborted with the evidence, and stable has all traffic again."""
    pay.deploy()
    pay.until(Phase.ABORTED, canary=0.3, stable=0.01)
    assert pay.status().because.startswith("errors is worse")
    assert pay.plane.versions.aliases("pay") == {"stable": "v1"}
    assert pay.plane.traffic.plan("pay").canary is None
    (last,) = pay.plane.canary.decisions("pay", limit=1000).items[-1:]
    assert last.decision.reasons[0].evidence["finding"] == "regression"
    after = pay.everything()
    pay.turn()
    assert pay.everything()["canary_deployments"] == after["canary_deployments"]


def test_dry_run_checks_everything_and_writes_nothing(pay):
    """A dry run refuses what a real one refuses, and leaves no trace."""
    before = pay.everything()
    assert pay.plane.canary.deploy_with_rollout("pay", "v2", None, actor="ada", dry_run=True).spec.version == "v2"
    with pytest.raises(NotFound, match="'v9'"):
        pay.plane.canary.deploy_with_rollout("pay", "v9", None, actor="ada", dry_run=True)
    assert pay.everything() == before


def test_rollout_that_could_not_run_is_refused(pay):
    """An unknown domain, version or metric, no stable version, and the stable version itself are refused in words."""
    pay.domain("legal", versions=())
    pay.domain("hr")
    pay.plane.domains.archive("hr", actor="ada")
    before = pay.everything()
    for domain, version, schedule, error, said in (
        ("nope", "v2", {}, NotFound, "'nope'"),
        ("pay", "v9", {}, NotFound, "'v9'"),
        ("pay", "v2", {"guardrails": [{"metric": "karma"}]}, NotFound, "no metric 'karma'"),
        ("pay", "v1", {}, Refused, "stable already"),
        ("hr", "v2", {}, Refused, "archived"),
        ("legal", "v2", {}, NotFound, "'v2'"),
        ("pay", "v2", {"steps": [1, 2]}, InvalidInput, "steps"),
        ("pay", "v2", {"stepz": []}, InvalidInput, "stepz: unknown field"),
        ("pay", "v2", {"holdBack": 0, "guardrails": [{"metric": "latency-p95"}]}, InvalidInput, "without a hold-back"),
        ("pay", "v2", {"holdBack": 0, "steps": [{"weight": 100}]}, InvalidInput, "without a hold-back"),
    ):
        with pytest.raises(error, match=said):
            pay.plane.canary.deploy_with_rollout(domain, version, schedule, actor="ada")
    with pytest.raises(InvalidInput, match="must be 100%"):
        pay.plane.canary.deploy_with_rollout("pay", "v2", ["1%", "10%"], actor="ada")
    assert pay.everything() == before


@pytest.mark.parametrize("phase", sorted(ACTIVE))
def test_24_second_rollout_on_a_domain_is_refused(pay, phase):
    """While one rollout is active in any way, another is refused, and the first goes on as if nothing was asked."""
    pay.plane.versions.register("pay", "v3", pay.plane.versions.get("pay", "v2").spec, actor="ada")
    pay.deploy()
    if phase is not Phase.PENDING:
        pay.reach(0)
    if phase is Phase.PAUSED:
        pay.plane.canary.pause("pay", actor="ada")
    before = pay.everything()
    for version in ("v2", "v3"):
        with pytest.raises(Conflict, match="has a rollout already"):
            pay.deploy(version=version)
    assert pay.everything() == before
    assert pay.status().phase is phase


def test_pause_holds_until_resume(pay):
    """A paused rollout keeps its weight however long it lasts, and goes on after resume."""
    pay.deploy()
    pay.reach(0)
    pay.plane.canary.pause("pay", actor="bob", why="lunch")
    for _ in range(20):
        pay.turn()
    assert (pay.status().phase, pay.status().weight) == (Phase.PAUSED, 10.0)
    pay.plane.canary.resume("pay", actor="bob")
    assert pay.until(Phase.PROMOTED)[-1] == 100.0


def test_09_paused_rollout_is_still_judged(pay):
    """A regression takes back a version that a person paused."""
    pay.deploy()
    pay.reach(0)
    pay.plane.canary.pause("pay", actor="bob")
    pay.until(Phase.ABORTED, canary=0.4)
    assert pay.actions()[-2:] == ["pause", "abort"]


def test_promote_skips_the_rest_of_a_step(pay):
    """Promote climbs at the next look, promote fully makes stable at once."""
    pay.deploy(steps=[{"weight": 10, "bake": "1h"}, {"weight": 50, "bake": "1h"}, {"weight": 100}])
    pay.reach(0)
    pay.plane.canary.promote("pay", actor="ada")
    pay.turn()
    assert (pay.status().step, pay.status().weight) == (1, 50.0)
    pay.plane.canary.promote("pay", actor="ada", full=True)
    assert (pay.status().phase, pay.plane.versions.aliases("pay")) == (Phase.PROMOTED, {"stable": "v2"})


def test_approval_waits_for_a_person(pay):
    """A step with approval pauses when it is done; resume does not approve it, promote does."""
    pay.deploy(steps=[{"weight": 10, "bake": 10, "approval": True}, {"weight": 100, "bake": 10}])
    pay.until(Phase.PAUSED)
    assert [pause.reason for pause in pay.status().pauses] == [PauseReason.APPROVAL]
    with pytest.raises(Refused, match="waits for approval"):
        pay.plane.canary.resume("pay", actor="ada")
    pay.plane.canary.promote("pay", actor="boss", why="looks good")
    pay.until(Phase.PROMOTED)
    told = [(it.actor, it.decision.sentence) for it in pay.plane.canary.decisions("pay", limit=100).items]
    assert ("boss", "looks good") in told


def test_set_weight_moves_within_the_step(pay):
    """The weight goes down to nothing and up to the step's, each under a plan of its own; more needs promote."""
    pay.deploy(steps=[{"weight": 10, "bake": "1h"}, {"weight": 100}])
    pay.reach(0)
    for weight in (0.0001, 0, 0, 10, 10, 4):
        pay.plane.canary.set_weight("pay", weight, actor="ada")
        plan = pay.plane.traffic.plan("pay")
        assert (pay.status().weight, plan.weight) == (weight, weight * 10_000)
        assert pay.status().step_plan == plan.revision
    for wrong, error in ((10.0001, InvalidInput), (-1, InvalidInput), (1e-5, InvalidInput)):
        with pytest.raises(error):
            pay.plane.canary.set_weight("pay", wrong, actor="ada")
    pay.reach(0)


def test_08_retry_begins_again_with_new_evidence(pay):
    """After an abort nothing moves until retry; it starts at step 0 and does not count what was seen before."""
    pay.deploy()
    pay.until(Phase.ABORTED, canary=0.4)
    salt = pay.status().salt
    pay.turn()
    assert pay.status().phase is Phase.ABORTED
    pay.plane.canary.retry("pay", actor="ada")
    assert (pay.status().phase, pay.status().step, pay.status().weight) == (Phase.PENDING, 0, 0.0)
    assert pay.until(Phase.PROMOTED) == [0.0, 10.0, 50.0, 99.0, 100.0]
    assert (pay.status().salt, pay.status().attempt) == (salt, 2)


def test_rollout_that_another_came_after_does_not_begin_again(pay):
    """A rollout is not retried or revised once the domain had a newer one: a domain's newest is the one that runs."""
    pay.plane.versions.register("pay", "v3", pay.plane.versions.get("pay", "v2").spec, actor="ada")
    pay.plane.canary.apply("first", spec(), actor="ada")
    pay.plane.canary.abort("first", actor="ada")
    pay.go()
    pay.deploy(version="v3", name="second")
    pay.until(Phase.PROMOTED)
    before = pay.everything()
    with pytest.raises(Refused, match="'second' came after it"):
        pay.plane.canary.retry("first", actor="ada")
    with pytest.raises(Refused, match="'second' came after it"):
        pay.plane.canary.apply("first", spec(alpha=0.01), actor="ada")
    assert pay.everything() == before


def test_undo_returns_to_the_version_before(pay):
    """Undo makes the earlier version stable at once; a second undo, and one of an older promotion, are refused."""
    pay.deploy()
    pay.until(Phase.PROMOTED)
    first = pay.plane.canary.get("pay")
    pay.plane.canary.undo("pay", actor="ada", why="users complain")
    assert (pay.status().phase, pay.plane.versions.aliases("pay")) == (Phase.UNDONE, {"stable": "v1"})
    assert pay.plane.traffic.plan("pay").stable == "v1"
    with pytest.raises(Refused, match="cannot undo a rollout that is undone"):
        pay.plane.canary.undo("pay", actor="ada")
    pay.plane.versions.register("pay", "v3", pay.plane.versions.get("pay", "v2").spec, actor="ada")
    pay.plane.canary.retry(first.id, actor="ada")
    pay.until(Phase.PROMOTED)
    pay.go()
    pay.deploy(version="v3")
    with pytest.raises(Refused, match="has moved on"):
        pay.plane.canary.undo(first.id, actor="ada")


def test_18_version_that_was_stable_a_moment_ago_returns_at_once(pay):
    """A rollout to the version before needs no steps, within the rollback window."""
    pay.deploy()
    pay.until(Phase.PROMOTED)
    pay.go()
    pay.deploy(version="v1", name="back")
    pay.plane.reconciler.tick()
    assert (pay.status().phase, pay.plane.versions.aliases("pay")) == (Phase.PROMOTED, {"stable": "v1"})
    assert pay.actions() == ["promote"]


@pytest.mark.parametrize("again", ["retry", "deploy"])
def test_18_version_that_was_undone_earns_its_traffic_again(pay, again):
    """What a person took back does not return at once, neither by retry nor by a new rollout."""
    pay.deploy()
    pay.until(Phase.PROMOTED)
    pay.plane.canary.undo("pay", actor="ada")
    pay.go()
    if again == "retry":
        pay.plane.canary.retry("pay", actor="ada")
    else:
        pay.deploy(name="again")
    pay.turn()
    assert (pay.status().phase, pay.status().weight) == (Phase.PROGRESSING, 10.0)


def test_02_apply_begins_again_only_when_the_spec_changed(pay):
    """Applying an equal spec writes nothing; a changed one begins at step 0 with weight 0, also after an abort."""
    pay.plane.canary.apply("ship", spec(), actor="ada")
    pay.reach(1)
    before = pay.everything()
    assert pay.plane.canary.apply("ship", spec(), actor="ada").status.step == 1
    assert pay.everything() == before
    changed = pay.plane.canary.apply("ship", spec(alpha=0.01), actor="ada")
    assert (changed.status.phase, changed.status.weight, changed.status.attempt) == (Phase.PENDING, 0.0, 2)
    assert pay.plane.traffic.plan("pay").canary is None
    assert changed.spec_revision == 2
    pay.plane.canary.abort("ship", actor="ada")
    assert pay.plane.canary.apply("ship", spec(alpha=0.02), actor="ada").status.phase is Phase.PENDING
    pay.until(Phase.PROMOTED)
    with pytest.raises(Refused, match="cannot revise a rollout that is promoted"):
        pay.plane.canary.apply("ship", spec(alpha=0.03), actor="ada")
    with pytest.raises(Conflict, match="is of domain 'pay'"):
        pay.plane.canary.apply("ship", spec(domain="legal"), actor="ada")


def test_revised_version_takes_the_place_of_the_old_one(pay):
    """A spec that names another version replaces the candidate; nobody sees the first one any more."""
    pay.plane.versions.register("pay", "v3", pay.plane.versions.get("pay", "v2").spec, actor="ada")
    pay.plane.canary.apply("ship", spec(), actor="ada")
    pay.reach(0)
    pay.plane.canary.apply("ship", spec(version="v3"), actor="ada")
    assert pay.plane.versions.aliases("pay") == {"stable": "v1", "candidate": "v3"}
    pay.reach(0)
    assert pay.plane.traffic.plan("pay").canary.version == "v3"


def test_stale_revision_is_refused(pay):
    """A verb for a revision that is no longer the rollout's is refused and changes nothing."""
    revision = pay.deploy().revision
    pay.reach(0)
    before = pay.everything()
    for verb in (pay.plane.canary.pause, pay.plane.canary.abort, pay.plane.canary.promote):
        with pytest.raises(StaleRevision, match="read it again"):
            verb("pay", actor="ada", expected=revision)
    assert pay.everything() == before
    pay.plane.canary.pause("pay", actor="ada", expected=pay.plane.canary.get("pay").revision)


def test_rollout_is_found_by_id_name_and_domain(pay):
    """A rollout answers to its id, its name and its domain; an unknown one is told with what to use."""
    made = pay.deploy(name="ship")
    assert {pay.plane.canary.get(ref).id for ref in (made.id, "ship", "pay")} == {made.id}
    with pytest.raises(NotFound, match="there is no rollout 'nope'"):
        pay.plane.canary.get("nope")
