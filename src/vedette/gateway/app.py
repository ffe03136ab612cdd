"""What the gateway answers: models, which version a unit sees, and how it is doing."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import unquote

import msgspec

from vedette.catalog.domain import DomainConfig
from vedette.catalog.key import AdmittedKey
from vedette.gateway import metrics as prometheus
from vedette.gateway import ofrep, wire
from vedette.gateway.assign import UnitMissingError, assign
from vedette.gateway.budgets import Ledger, NotedTicket
from vedette.gateway.context import UnderWay
from vedette.gateway.deadlines import Deadlines
from vedette.gateway.exchange import Exchange
from vedette.gateway.figures import Scrape, Sum
from vedette.gateway.keys import Admission
from vedette.gateway.limits import Limiter
from vedette.gateway.metrics import Metrics
from vedette.gateway.names import RequestNames
from vedette.gateway.openai import PATHS, RESPONSES, error_body, model_entry, model_list, read_ask
from vedette.gateway.outlet import Burst
from vedette.gateway.patience import ENDLESS, patience
from vedette.gateway.plans import PlanTable, ServedPlan
from vedette.gateway.protocol import ClientConnection, Handler
from vedette.gateway.recorder import Recorder
from vedette.gateway.request import Request
from vedette.gateway.response_exchange import ResponseExchange
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.shadow import Shadows
from vedette.gateway.turning import TurnedAway
from vedette.kernel.errors import InvalidInput
from vedette.routing.choose import CompiledPlan
from vedette.routing.flags import Unit, plan_of_experiment

_log = logging.getLogger("vedette.gateway")
_encode = msgspec.json.Encoder().encode

_MODELS = "/v1/models"
_FLAGS = "/ofrep/v1/evaluate/flags"


@dataclass(slots=True)
class GatewayApp:
    """The state all connections of one gateway share, and the way from a request to its answer."""

    settings: GatewaySettings
    table: PlanTable
    metrics: Metrics
    recorder: Recorder
    admission: Admission
    burst: Burst
    ready: bool = False  # plans are known, from the feed or from the file
    feed_error: str = ""
    draining: bool = False
    replaced: bool = False  # draining because another worker takes over: as a whole, the gateway stays ready
    total: Sum | None = None  # who knows the figures of all workers, where there are several
    threads: Executor | None = None  # to ask it on
    names: RequestNames = field(default_factory=RequestNames)
    connections: set[ClientConnection] = field(default_factory=set)
    exchanges: set[UnderWay] = field(default_factory=set)
    deadlines: Deadlines = field(init=False)
    limiter: Limiter = field(init=False)
    ledger: Ledger = field(init=False)
    shadows: Shadows = field(init=False)

    def __post_init__(self) -> None:
        """Watch over the exchanges."""
        self.limiter, self.ledger = Limiter(self.metrics), Ledger(self.metrics)
        self.recorder.book = self.ledger.book
        self.shadows = Shadows(self.settings, self.metrics, self.recorder)
        self.deadlines = Deadlines(self.exchanges)

    def turned_away(self, status: int) -> None:
        """Count a request that reached no version."""
        self.metrics.turn_away(status)

    def handle(self, client: ClientConnection, request: Request) -> Handler | None:
        """Begin to answer a request; None when the answer was given at once."""
        try:
            if request.path in PATHS:
                _allow(request, "POST")
                return self._ask(client, request)
            return self._look_up(client, request)
        except TurnedAway as refusal:
            self.turned_away(refusal.status)
            client.respond(refusal.status, refusal.fields, wire.JSON, refusal.body)
        except Exception:  # noqa: BLE001 - one request that breaks us must not take its connection along
            _log.exception("%s %s failed", request.method, request.path)
            self.turned_away(500)
            client.respond(500, b"", wire.JSON, error_body("the gateway failed", "server_error", "internal_error"))
        return None

    # Models.

    def _ask(self, client: ClientConnection, request: Request) -> Handler | None:
        try:
            ask = read_ask(request.path, request.body)
        except InvalidInput as error:
            raise TurnedAway(400, str(error), "invalid_request") from error
        served = self._plan_of(ask.model)
        config = served.plan.config
        key = None if config.access == "open" else self.admission.admit(served, request)
        hurry = patience(served, request) if config.deadline else ENDLESS
        request_id = self.names.new()
        try:
            choice, exposed = assign(served, request, ask.user, request_id)
        except UnitMissingError as error:
            raise TurnedAway(400, str(error), "unit_missing") from error
        if not choice.version:
            raise TurnedAway(503, f"domain {ask.model!r} has no stable version for this unit", "no_version", "model")
        note = self.ledger.enter(served.plan) if config.budgets else ""
        ticket = None
        if served.limited or key is not None:
            ticket = self.limiter.enter(served.plan, key, len(request.body), monotonic())
        if note:
            ticket = NotedTicket(ticket, note)
        tracer, headers = self.recorder.tracer, request.headers
        if tracer is not None:
            headers = tracer.begin(request_id, request.path, headers)
        try:
            kind = ResponseExchange if ask.path == RESPONSES else Exchange
            exchange = kind(
                self,
                client,
                ask=ask,
                headers=headers,
                served=served,
                choice=choice,
                exposed=exposed,
                request_id=request_id,
                ticket=ticket,
                patience=hurry,
                caller=_caller(key, ask.user, request, config),
            )
            exchange.start()
        except Exception:
            if ticket:
                ticket.leave(None, monotonic())
            raise
        if config.shadow is not None:
            self.shadows.mirror(served, ask, request.headers)
        return exchange

    def _plan_of(self, domain: str) -> ServedPlan:
        served = self.table.serving.get(domain)
        if served is None:
            if refusal := self.table.refused.get(domain):
                message = f"the plan of domain {domain!r} was refused: {refusal.reason}"
                raise TurnedAway(503, message, "plan_refused", "model")
            message = f"the model {domain!r} does not exist; a model is a domain's id, GET {_MODELS} lists them"
            raise TurnedAway(404, message, "model_not_found", "model")
        if not served.plan.stable and not served.plan.canary:
            raise TurnedAway(503, f"domain {domain!r} has no version to serve yet", "no_version", "model")
        if not served.plan.serving:
            raise TurnedAway(404, f"domain {domain!r} is archived and serves nothing", "domain_archived", "model")
        return served

    # Everything that is answered at once.

    def _look_up(self, client: ClientConnection, request: Request) -> Handler | None:
        path = request.path.rstrip("/") or "/"
        if answer := _FIXED.get(path):
            _allow(request, "POST" if path == _FLAGS else "GET")
            return answer(self, client, request)
        if path.startswith(f"{_MODELS}/"):
            _allow(request, "GET")
            served = self._plan_of(unquote(path.removeprefix(f"{_MODELS}/")))
            if served.plan.config.access != "open":
                self.admission.admit(served, request)
            client.respond(200, b"", wire.JSON, _encode(model_entry(served.plan.domain)))
        elif path.startswith(f"{_FLAGS}/"):
            _allow(request, "POST")
            self._flag(client, request, unquote(path.removeprefix(f"{_FLAGS}/")))
        else:
            raise TurnedAway(404, f"there is nothing at {request.path}", "not_found")
        return None

    def _models(self, client: ClientConnection, request: Request) -> None:
        shown = [name for name, served in self._shown(request) if served.plan.serving]
        client.respond(200, b"", wire.JSON, model_list(shown))

    def _shown(self, request: Request) -> list[tuple[str, ServedPlan]]:
        """Give the domains that the caller may know of, by name."""
        admits = self.admission.admits
        return [each for each in sorted(self.table.serving.items()) if admits(each[1], request)]

    def _live(self, client: ClientConnection, request: Request) -> None:  # noqa: ARG002 - one shape for all
        client.respond(200, b"", wire.JSON, b'{"status":"live"}')

    def _readiness(self, client: ClientConnection, request: Request) -> None:  # noqa: ARG002 - one shape for all
        status = "draining" if self.draining and not self.replaced else "ready" if self.ready else "no plans yet"
        body = {
            "status": status,
            "plans": {name: served.plan.revision for name, served in sorted(self.table.serving.items())},
            "refused": {
                name: {"revision": refusal.plan.revision, "reason": refusal.reason}
                for name, refusal in sorted(self.table.refused.items())
            },
            "feedError": self.feed_error,
            "outcomesLost": self.metrics.outcomes_lost,
        }
        client.respond(200 if status == "ready" else 503, b"", wire.JSON, _encode(body))

    def _figures(self, client: ClientConnection, request: Request) -> Handler | None:  # noqa: ARG002 - one shape for all
        self.metrics.in_flight = len(self.exchanges)
        plans = [served.plan for served in self.table.serving.values()]

        def tell(figures: Metrics) -> None:
            text = figures.text(plans, sorted(self.table.refused), self.ledger.used(plans))
            client.respond(200, b"", prometheus.CONTENT_TYPE, text)

        if self.total is None:
            tell(self.metrics)
            return None
        return Scrape(self.total, self.threads, self.metrics, tell)

    def _compiled(self, request: Request) -> dict[str, CompiledPlan]:
        return {name: served.compiled for name, served in self._shown(request)}

    def _flag(self, client: ClientConnection, request: Request, key: str) -> None:
        unit = ofrep.read_unit(request.body)
        served = self.table.serving.get(key)
        if served and served.plan.config.access != "open":
            self.admission.admit(served, request)
        plan = served.compiled if served else plan_of_experiment(self._compiled(request), key)
        if plan is None:
            unit = Unit(error="FLAG_NOT_FOUND", details=f"there is no domain and no experiment {key!r}")
        if plan is None or unit.error:
            client.respond(404 if plan is None else 400, b"", wire.JSON, ofrep.failure(unit, key))
        else:
            client.respond(200, b"", wire.JSON, ofrep.success(plan, key, unit))

    def _flags(self, client: ClientConnection, request: Request) -> None:
        unit = ofrep.read_unit(request.body)
        if unit.error:
            client.respond(400, b"", wire.JSON, ofrep.failure(unit))
            return
        body, tag = ofrep.bulk(self._compiled(request), unit)
        known = {each.strip().removeprefix(b"W/") for each in request.fields.get(b"if-none-match", b"").split(b",")}
        if tag in known or b"*" in known:
            client.respond(304, b"etag: %b\r\n" % tag, b"", b"")
        else:
            client.respond(200, b"etag: %b\r\n" % tag, wire.JSON, body)


_FIXED: dict[str, Callable[[GatewayApp, ClientConnection, Request], Handler | None]] = {
    _MODELS: GatewayApp._models,  # noqa: SLF001 - the table of this class's own answers
    _FLAGS: GatewayApp._flags,  # noqa: SLF001 - the class's own table of routes
    "/livez": GatewayApp._live,  # noqa: SLF001 - the class's own table of routes
    "/readyz": GatewayApp._readiness,  # noqa: SLF001 - the class's own table of routes
    "/metrics": GatewayApp._figures,  # noqa: SLF001 - the class's own table of routes
}


def _allow(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise TurnedAway(405, f"{request.path} takes {method}, not {request.method}", "method_not_allowed")


def _caller(key: AdmittedKey | None, user: str, request: Request, config: DomainConfig) -> str:
    """Tell callers apart whose answers are not to be shared; all the same where they are."""
    if config.cache is None or config.cache.scope == "domain":
        return ""
    unit = request.fields.get(config.assignment.header.lower().encode(), b"")
    return repr((key.id if key else "", user, unit))
