"""Assignment in this process: the gateway's answers, by plans that are followed in the background."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.routing.plans import layer, plan, running

from vedette.catalog.domain import Assignment, DomainConfig
from vedette.client.assigner import Assigner
from vedette.kernel.errors import InvalidInput, NotFound, Refused, Unavailable
from vedette.kernel.records import evolve
from vedette.routing.choose import CompiledPlan
from vedette.routing.override import Rule
from vedette.routing.plan import TrafficPlan

QUICK = 0.005


class Source:
    """Plans as a server would give them; away when told so."""

    def __init__(self, *plans: TrafficPlan) -> None:
        self.plans = {each.domain: each for each in plans}
        self.away = False

    def plan(self, domain_id: str) -> TrafficPlan:
        """Give a plan."""
        if self.away:
            raise Unavailable("the server is away")
        if domain_id not in self.plans:
            raise NotFound(f"there is no domain {domain_id!r}")
        return self.plans[domain_id]


class Listener:
    """What is heard of the plans, and a way to wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[tuple[str, ...], str]] = []
        self._news = threading.Condition()

    def __call__(self, changed, problem) -> None:
        """Hear."""
        with self._news:
            self.heard.append((tuple(changed), problem))
            self._news.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so much was heard."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.heard) >= count, 10), self.heard


@contextmanager
def following(*plans: TrafficPlan, patient: bool = False) -> Iterator[tuple[Source, Assigner, Listener]]:
    """Follow the plans of a source."""
    source, listener = Source(*plans), Listener()
    assigner = Assigner(source, [each.domain for each in plans], interval=QUICK)
    assigner.start(listener, patient=patient)
    try:
        yield source, assigner, listener
    finally:
        assigner.close()


def test_units_are_assigned_as_by_the_plan():
    """Version, arm and experiments of every unit are those of the plan, with and without attributes."""
    rule = Rule(attribute="country", values=("de",))
    given = plan(300_000, layers=(layer(running(targeting=(rule,))),))
    assigner, compiled = Assigner(plans=[given]), CompiledPlan(given)
    seen = set()
    for number in range(300):
        for attributes in (None, {"country": "de"}):
            choice, exposed = assigner.assign("pay", f"u{number}", attributes)
            assert (choice, exposed) == compiled.assign(f"u{number}", attributes)
            assert assigner.version("pay", f"u{number}", attributes) == choice.version
            seen.add((choice.arm, exposed.names.get("tone")))
    assert seen == {(arm, tone) for arm in ("stable", "canary") for tone in (None, "control", "treatment")}


@pytest.mark.parametrize(("unit", "arms"), [("user", {"ann": True, "bob": False}), ("header", {"ann": False})])
def test_the_unit_is_the_user_where_the_domain_says_so(unit, arms):
    """Where a domain's unit is the user, experiments that ask for the user know who it is, as at the gateway."""
    config = DomainConfig(assignment=Assignment(unit=unit))
    rule = Rule(attribute="user", values=("ann", "eve"))
    assigner = Assigner(plans=[plan(None, config=config, layers=(layer(running(targeting=(rule,))),))])
    assert {name: bool(assigner.assign("pay", name)[1].names) for name in arms} == arms
    assert assigner.assign("pay", "bob", {"user": "eve"})[1].names


def test_what_cannot_be_assigned_is_refused():
    """No unit, no plan and nothing that serves are three different errors."""
    archived = plan(None, domain="old", serving=False)
    unborn = plan(None, domain="new", stable="", backends={})
    assigner = Assigner(plans=[plan(None), archived, unborn])
    with pytest.raises(InvalidInput, match="unit"):
        assigner.assign("pay", "")
    with pytest.raises(NotFound, match="nobody"):
        assigner.assign("nobody", "u")
    for name in ("old", "new"):
        with pytest.raises(Refused, match="serves nothing"):
            assigner.version(name, "u")


def test_a_new_plan_is_followed():
    """A plan that changes at the source is in force after the next look, others stay, and who listens is told."""
    with following(plan(None), plan(None, domain="legal")) as (source, assigner, listener):
        assert assigner.version("pay", "u") == "v1"
        source.plans["pay"] = plan(1_000_000, revision=2)
        listener.wait_for(1)
        assert listener.heard == [(("pay",), "")]
        assert (assigner.version("pay", "u"), assigner.version("legal", "u")) == ("v2", "v1")
        source.plans["pay"] = plan(None, revision=3, serving=False)
        listener.wait_for(2)
        with pytest.raises(Refused):
            assigner.version("pay", "u")


def test_the_last_plan_stays_while_the_source_is_away():
    """A source that does not answer changes nothing; when it is back, what it says is in force."""
    with following(plan(None)) as (source, assigner, listener):
        source.away = True
        listener.wait_for(1)
        assert assigner.version("pay", "u") == "v1"
        assert "away" in assigner.problem
        source.plans["pay"] = plan(1_000_000, revision=2)
        source.away = False
        listener.wait_for(2)
        assert assigner.version("pay", "u") == "v2"
        assert [problem for _, problem in listener.heard] == ["the server is away", ""]


def test_a_domain_that_is_gone_is_forgotten():
    """A domain the source knows no more is known here no more, and the others go on."""
    with following(plan(None), plan(None, domain="legal")) as (source, assigner, listener):
        del source.plans["legal"]
        listener.wait_for(1)
        with pytest.raises(NotFound):
            assigner.version("legal", "u")
        assert assigner.version("pay", "u") == "v1"


def test_one_domain_that_fails_keeps_no_other_from_its_plan():
    """A domain whose plan cannot be had is skipped; the error says which look failed, and what changed is in force."""
    source = Source(plan(None), plan(None, domain="legal"))
    assigner = Assigner(source, ["legal", "pay"])
    assigner.look()
    answer = source.plan

    def broken(domain_id: str) -> TrafficPlan:
        if domain_id == "legal":
            raise Unavailable("cannot be read")
        return answer(domain_id)

    source.plan = broken  # type: ignore[method-assign]  # a source that fails in part
    source.plans["pay"] = plan(1_000_000, revision=2)
    with pytest.raises(Unavailable, match="cannot be read"):
        assigner.look()
    assert (assigner.version("pay", "u"), assigner.version("legal", "u")) == ("v2", "v1")


def test_beginning_needs_a_plan_of_each_domain():
    """A start without the plans it needs raises and follows nothing; plans of last time, or patience, are enough."""
    source = Source(plan(None))
    source.away = True
    with pytest.raises(Unavailable), Assigner(source, ["pay"], interval=QUICK):
        pass
    with Assigner(source, ["pay"], plans=[plan(None)], interval=QUICK) as assigner:
        assert assigner.version("pay", "u") == "v1"
    source.away = False
    with pytest.raises(NotFound, match="nobody"), Assigner(source, ["nobody"], interval=QUICK):
        pass
    assert "vedette-plans" not in {thread.name for thread in threading.enumerate()}


def test_closing_ends_the_thread_and_it_can_begin_again():
    """After close no thread looks any more, the plans stay, and a second start follows again."""
    with following(plan(None)) as (source, assigner, listener):
        assigner.close()
        assert "vedette-plans" not in {thread.name for thread in threading.enumerate()}
        source.plans["pay"] = plan(1_000_000, revision=2)
        assert assigner.version("pay", "u") == "v1"
        assigner.start(listener)
        assert assigner.version("pay", "u") == "v2"
        source.plans["pay"] = plan(None, revision=3)
        listener.wait_for(1)
        assert assigner.version("pay", "u") == "v1"


def test_a_listener_that_fails_ends_nothing():
    """Whatever a listener raises, plans are followed on."""
    source, listener = Source(plan(None)), Listener()

    def failing(changed, problem):
        listener(changed, problem)
        raise ValueError("not my day")

    assigner = Assigner(source, ["pay"], interval=QUICK)
    assigner.start(failing)
    try:
        for revision in (2, 3):
            source.plans["pay"] = plan(None, revision=revision)
            listener.wait_for(revision - 1)
    finally:
        assigner.close()
    assert len(listener.heard) == 2


def test_plans_come_from_a_real_server(both):
    """The client's traffic is a source: what changes on the server is what units see, after the next look."""
    plane, client = both
    assigner = Assigner(client.traffic, ["payments"])
    assert assigner.look() == ("payments",)
    assert assigner.look() == ()
    assert assigner.version("payments", "u") == "v1"
    plane.domains.archive("payments", actor="ada")
    assert assigner.look() == ("payments",)
    with pytest.raises(Refused):
        assigner.version("payments", "u")


def test_what_makes_no_sense_is_refused():
    """Domains without a source, a source without domains, one name for a list, and no interval are errors."""
    source = Source(plan(None))
    nonsense: list[tuple[Source | None, list[str] | str]] = [(None, ["pay"]), (source, []), (source, "pay")]
    for asked, domains in nonsense:
        with pytest.raises(InvalidInput, match="list of domains"):
            Assigner(asked, domains)
    with pytest.raises(InvalidInput, match="interval"):
        Assigner(source, ["pay"], interval=0)


def test_an_equal_plan_is_no_news():
    """The same plan again changes nothing, so that a look costs nothing but the question."""
    source = Source(plan(None))
    assigner = Assigner(source, ["pay"], plans=[plan(None)])
    before = assigner.plans["pay"]
    source.plans["pay"] = evolve(plan(None), revision=1)
    assert assigner.look() == ()
    assert assigner.plans["pay"] is before
