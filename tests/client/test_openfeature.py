"""The provider in process, by the real OpenFeature SDK: word for word what OFREP at a gateway says."""

import json
import threading
from functools import partial
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.provider import ProviderStatus
from tests.client.test_assigner import QUICK, Source
from tests.gateway.stage import Stage
from tests.routing.plans import layer, plan, running

from vedette.client.assigner import Assigner
from vedette.client.openfeature import VedetteProvider
from vedette.routing.layers import slices_of
from vedette.routing.override import Override, Rule
from vedette.routing.plan import TrafficPlan

VALUES = {"colour": "red", "limits": [1, 2]}
READY = ("READY", None)


@pytest.fixture(autouse=True)
def _shut_down():
    yield
    api.shutdown()


def published() -> list[TrafficPlan]:
    """Make plans with everything that can make a difference to a flag."""
    arms = {"control": Override(), "treatment": Override(values=VALUES)}
    serving = {"control": Override(), "treatment": Override(version="v2")}
    rules = (Rule(attribute="x-plan", values=("gold",)), Rule(attribute="x-age", values=("7", "7.5", "true")))
    aimed = running("aimed", overrides=arms, exposed=700_000, targeting=rules)
    mine = running("mine", overrides=arms, targeting=(Rule(attribute="user", values=("u1", "u2")),))
    return [
        plan(
            333_333,
            domain="pay",
            revision=4,
            layers=(layer(aimed), layer(mine, name="b"), layer(running("tone"), name="c")),
            hold_out=100_000,
        ),
        plan(
            None, domain="legal", layers=(layer(running("route", overrides=serving)), layer(running("tone"), name="c"))
        ),
        plan(None, domain="old", serving=False, layers=(layer(running("gone")),)),
        plan(None, domain="new", stable="", backends={}),
        plan(1_000_000, domain="mine", layers=(layer(running("one", slices=slices_of({"treatment": 1}))),)),
    ]


CONTEXTS: tuple[dict[str, Any], ...] = (
    {},
    {"X-Plan": "gold", "x-age": 7},
    {"X-Plan": "gold", "x-age": 7.5, "list": [1], "nothing": {"a": 1}},
    {"X-Plan": "gold", "x-age": True, "user": "u1"},
    {"targetingKey": "somebody else"},
)


def said(name: str, key: str, context: EvaluationContext) -> str:
    """Ask for a flag as text, and as an object, and write down all that is said."""
    client = api.get_client(name)
    found = [client.get_string_details(key, "mine", context), client.get_object_details(key, {"own": 1}, context)]
    return json.dumps(
        [
            [each.value, each.variant, each.reason, each.error_code, dict(each.flag_metadata)]
            if each.error_code != ErrorCode.TYPE_MISMATCH
            else each.error_code
            for each in found
        ],
        sort_keys=True,
    )


def test_every_answer_is_ofreps(tmp_path):
    """Flags of domains and experiments, with any context, and every error are what OFREP answers to the same SDK."""
    plans = published()
    stage = Stage(tmp_path / "data")
    for each in plans:
        stage.feed.publish(each)
    stage.start()
    remote = OFREPProvider(stage.base_url)
    try:
        api.set_provider_and_wait(remote, "remote")
        api.set_provider_and_wait(VedetteProvider(Assigner(plans=plans)), "here")
        reasons = set()
        keys = ["pay", "legal", "old", "new", "mine", "tone", "aimed", "route", "gone", "one", "nobody"]
        for number in range(12):
            for attributes in CONTEXTS:
                context = EvaluationContext(f"u{number}" if number else None, attributes)
                for key in keys:
                    here = said("here", key, context)
                    assert here == said("remote", key, context), (key, context)
                    for each in json.loads(here):
                        reasons |= {each[2], each[3]} if isinstance(each, list) else {each}
    finally:
        api.shutdown()
        remote.session.close()
        stage.close()
    errors = {"FLAG_NOT_FOUND", "TARGETING_KEY_MISSING", "TYPE_MISMATCH", None}
    assert reasons == {"STATIC", "SPLIT", "TARGETING_MATCH", "DISABLED", "DEFAULT", "ERROR"} | errors


def test_a_key_that_is_no_text_is_an_invalid_context():
    """A targeting key among the attributes that is no text is INVALID_CONTEXT, and the default holds."""
    api.set_provider_and_wait(VedetteProvider(Assigner(plans=published())))
    found = api.get_client().get_string_details("pay", "mine", EvaluationContext("u", {"targetingKey": 7}))
    assert (found.value, found.error_code) == ("mine", ErrorCode.INVALID_CONTEXT)


def test_flags_have_their_kind():
    """A domain is text and an experiment an object; other kinds are TYPE_MISMATCH, unless there is no value to give."""
    api.set_provider_and_wait(VedetteProvider(Assigner(plans=published())))
    client, context = api.get_client(), EvaluationContext("u1")
    for key in ("pay", "one"):
        found = [
            client.get_boolean_details(key, True, context),
            client.get_integer_details(key, 1, context),
            client.get_float_details(key, 1.5, context),
        ]
        assert [(each.value, each.error_code) for each in found] == [
            (default, ErrorCode.TYPE_MISMATCH) for default in (True, 1, 1.5)
        ]
    disabled = client.get_integer_details("gone", 1, context)
    assert (disabled.value, disabled.reason, disabled.error_code) == (1, "DISABLED", None)


class Events:
    """What a provider tells the SDK, and a way to wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []
        self._news = threading.Condition()
        for event in ProviderEvent:
            api.add_handler(event, partial(self._hear, event))

    def _hear(self, event, details) -> None:
        with self._news:
            self.heard.append((event.value.removeprefix("PROVIDER_"), details.flags_changed))
            self._news.notify_all()

    def wait_for(self, *expected: tuple[str, object]) -> None:
        """Wait until exactly this was told; handlers run on threads of the SDK, so in any order."""
        with self._news:
            assert self._news.wait_for(lambda: sorted(map(str, self.heard)) == sorted(map(str, expected)), 10), (
                self.heard
            )


@pytest.fixture
def events():
    """Listen to providers, from the SDK's own one on."""
    heard = Events()
    heard.wait_for(READY)
    return heard


def test_the_sdk_hears_of_plans(events):
    """A changed plan, a server that is away and one that is back are events, and the last plan answers meanwhile."""
    source = Source(plan(None, layers=(layer(running("tone")),)))
    api.set_provider_and_wait(VedetteProvider(Assigner(source, ["pay"], interval=QUICK)))
    client, context = api.get_client(), EvaluationContext("u1")
    told: list[tuple[str, object]] = [READY, READY]
    events.wait_for(*told)
    source.plans["pay"] = plan(1_000_000, revision=2, layers=(layer(running("tone")),))
    told.append(("CONFIGURATION_CHANGED", ["pay", "tone"]))
    events.wait_for(*told)
    assert client.get_string_value("pay", "mine", context) == "v2"
    source.away = True
    told.append(("STALE", None))
    events.wait_for(*told)
    assert client.get_provider_status() == ProviderStatus.STALE
    assert client.get_string_value("pay", "mine", context) == "v2"
    source.away = False
    told.append(READY)
    events.wait_for(*told)
    assert client.get_provider_status() == ProviderStatus.READY
    api.shutdown()
    assert "vedette-plans" not in {thread.name for thread in threading.enumerate()}


def test_a_provider_begins_while_the_server_is_away(events):
    """It is in error and gives defaults until the first plans are there, and then it is ready by itself."""
    source = Source(plan(None))
    source.away = True
    provider = VedetteProvider(Assigner(source, ["pay"], interval=QUICK))
    with pytest.raises(Exception, match="no plan of pay"):
        api.set_provider_and_wait(provider)
    found = api.get_client().get_string_details("pay", "mine", EvaluationContext("u1"))
    assert (found.value, found.error_code) == ("mine", ErrorCode.PROVIDER_NOT_READY)
    source.away = False
    events.wait_for(READY, ("ERROR", None), READY, ("CONFIGURATION_CHANGED", ["pay"]))
    assert api.get_client().get_string_value("pay", "mine", EvaluationContext("u1")) == "v1"
