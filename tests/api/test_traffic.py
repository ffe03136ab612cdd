"""Traffic over HTTP: plans, and which version a unit sees."""

import pytest
from tests.api.people import ACTOR

from vedette.kernel.documents import dump

ADDRESS = "/api/v1/domains/support"


def test_the_plan_in_force_and_those_before_it_can_be_read(client, furnished):
    """The newest plan is the one in force, and each revision stays readable."""
    plan = client.get(f"{ADDRESS}/plan").json()
    history = client.get(f"{ADDRESS}/plans").json()["items"]
    assert plan == dump(furnished.traffic.plan("support")) == history[0]["plan"]
    assert [client.get(f"{ADDRESS}/plans/{it['plan']['revision']}").json() for it in history] == history
    assert client.get(f"{ADDRESS}/plans/99").status_code == 404


def test_a_choice_is_explained_by_bucket_rank_and_weight(client, furnished):
    """Every unit sees what the plane chooses for it, and the explanation agrees with the choice."""
    alone = client.get(f"{ADDRESS}/choose?unit=ann").json()
    assert (alone["layer"], alone["arm"], alone["version"], alone["rank"]) == ("stable", "stable", "v1", -1)
    steps = [{"weight": 40, "bake": 0}, {"weight": 100, "bake": 0}]
    furnished.canary.deploy_with_rollout("support", "v2", {"steps": steps}, actor="ann")
    furnished.traffic.confirm("gateway", {})
    for _ in range(3):
        furnished.reconciler.tick()
    seen = [client.get(f"{ADDRESS}/choose", params={"unit": f"user-{n}"}).json() for n in range(40)]
    assert {it["arm"] for it in seen} == {"stable", "canary"}
    for it in seen:
        assert (it["layer"], it["weight"]) == ("rollout", 40.0)
        if it["rank"] != int(it["exposed"]):  # the bucket on the edge is split
            assert (it["rank"] < it["exposed"]) == (it["arm"] == "canary")
        assert it["version"] == furnished.traffic.choose("support", it["unit"]).version
        assert str(it["bucket"]) in it["sentence"]


@pytest.mark.usefixtures("furnished")
def test_a_domain_that_serves_nothing_chooses_nothing(client):
    """An archived domain refuses, an unknown one is not found, and a unit has to be named."""
    assert client.get(f"{ADDRESS}/choose").status_code == 422
    assert client.get("/api/v1/domains/none/choose?unit=a").status_code == 404
    client.post(f"{ADDRESS}/archive", headers=ACTOR)
    assert client.get(f"{ADDRESS}/choose?unit=a").status_code == 409
