"""The transaction rule: a change, its audit entry and its effects are written together or not at all."""

import pytest
from sqlalchemy import event

from vedette.catalog.domain import DomainSpec
from vedette.control.change import since
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.rollouts.machine import Phase
from vedette.store import outbox, versions
from vedette.store.engine import Store


def test_change_without_an_audit_entry_is_not_written(pay):
    """What records nothing is undone, and the mistake is told."""
    before = pay.everything()
    with pytest.raises(RuntimeError, match="audit entry"), pay.plane.changes.begin("ada") as change:
        versions.set_alias(change.connection, "pay", "candidate", "v2")
    assert pay.everything() == before


def test_change_that_fails_leaves_nothing(pay):
    """What fails in the middle leaves no write, no entry and no effect behind."""
    before = pay.everything()
    with pytest.raises(ZeroDivisionError), pay.plane.changes.begin("ada") as change:  # noqa: PT012 - writes, then fails
        versions.set_alias(change.connection, "pay", "candidate", "v2")
        outbox.add(change.connection, "e1", "webhook", {}, at=change.at)
        change.record("version.alias", domain="pay", resource="version/pay/v2")
        raise ZeroDivisionError
    assert pay.everything() == before


@pytest.mark.parametrize("actor", ["", "  "])
def test_change_names_its_actor(pay, actor):
    """Nobody in particular changes nothing, whatever the verb."""
    before = pay.everything()
    with pytest.raises(InvalidInput, match="names its actor"):
        pay.plane.canary.deploy_with_rollout("pay", "v2", None, actor=actor)
    with pytest.raises(InvalidInput, match="names its actor"):
        pay.plane.domains.create("legal", DomainSpec(), actor=actor)
    assert pay.everything() == before


def test_any_failed_statement_of_a_step_leaves_nothing_of_it(pay):
    """Wherever a transaction of the reconciler breaks off, nothing of it is written, and the next look does it all."""
    pay.deploy()
    most = 0
    while pay.status().phase is not Phase.PROMOTED:
        finished = False
        for number in range(1, 99):
            before = pay.everything()
            with Failing(pay.plane.store, number) as failing:
                try:
                    pay.plane.reconciler.tick()
                except KeyboardInterrupt:
                    assert pay.everything() == before
                    most = max(most, number)
                else:
                    finished = failing.left > 0
            if finished:
                break
        pay.serve()
        pay.go()
    assert most > 5
    assert pay.actions() == ["start", "advance", "advance", "promote"]
    assert pay.plane.governance.verify() == ()


class Failing:
    """Break off before the n-th write of a store."""

    def __init__(self, store: Store, number: int) -> None:
        self._engine, self.left = store._writing, number

    def __enter__(self):
        event.listen(self._engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_):
        event.remove(self._engine, "before_cursor_execute", self._count)

    def _count(self, _connection, _cursor, statement, *_):
        if statement.lstrip()[:6] in {"INSERT", "UPDATE", "DELETE"} and "leases" not in statement[:20]:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def test_changes_together_are_kept_together(pay):
    """Several changes in one block are one transaction: a failure undoes all, a dry run keeps none."""
    before = pay.everything()
    with pytest.raises(NotFound), pay.plane.changes.together():  # noqa: PT012 - writes, then fails
        pay.plane.domains.create("legal", DomainSpec(), actor="ada")
        pay.plane.canary.deploy_with_rollout("legal", "v9", None, actor="ada")
    assert pay.everything() == before
    with pay.plane.changes.together(dry_run=True):
        pay.plane.domains.create("legal", DomainSpec(), actor="ada")
        assert pay.plane.domains.get("legal").revision == 1
    assert pay.everything() == before
    with pay.plane.changes.together():
        pay.plane.domains.create("legal", DomainSpec(), actor="ada")
        with pytest.raises(NotFound):
            pay.plane.canary.deploy_with_rollout("legal", "v9", None, actor="ada")
    assert pay.plane.domains.get("legal").id == "legal"
    assert pay.plane.governance.verify() == ()


def test_every_decision_has_its_entry_in_the_audit_log(pay):
    """The record of a whole rollout tells each decision, with its actor and reasons, and the chain verifies."""
    pay.deploy()
    pay.until(Phase.PROMOTED)
    told = [entry for entry in pay.plane.governance.entries(limit=1000).items if entry.resource.startswith("rollout/")]
    assert told[0].action == "rollout.create"
    assert told[0].actor == "ada"
    done = [entry.action.removeprefix("rollout.") for entry in told[1:] if entry.action != "rollout.confirm"]
    assert done == pay.actions() == ["start", "advance", "advance", "promote"]
    assert {entry.actor for entry in told[1:]} == {"vedette/reconciler"}
    assert all(entry.details["decision"]["reasons"] for entry in told[1:])
    assert pay.plane.governance.verify() == ()


def test_difference_names_what_changed():
    """An entry holds both values of each changed field and nothing of the others."""
    assert since({"a": 1, "b": 2}, {"b": 3, "c": None}) == {"a": [1, None], "b": [2, 3]}
