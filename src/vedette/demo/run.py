"""``vedette demo``: real models on real data behind a real gateway, and every decision the engine's own."""

import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rich.console import Console

from vedette.control.plane import ControlPlane, open_plane
from vedette.demo.data import DemoDomain, load_domains
from vedette.demo.processes import Server, Traffic
from vedette.demo.scenario import ACTOR, Scenario, prepare, register
from vedette.demo.story import Course, Sight
from vedette.demo.summary import print_verdicts
from vedette.demo.traffic import Orders, Stream
from vedette.demo.verdicts import Verdict, judge
from vedette.demo.view import LiveView, PlainView, View
from vedette.governance.roles import Role
from vedette.kernel.errors import InvalidInput, NotFound, Refused

RATE = 240.0
"""Queries a second, over all domains."""
_LOOK_EVERY = 0.4
_DEADLINE = 300.0  # seconds; some 40 are usual, decisions wait for samples on a busy machine
_WIDTH = 140


def main(
    *, serve: bool = False, seed: int = 1, rate: float = RATE, plain: bool = False, data: Path | None = None
) -> int:
    """Run the demo: 0 when every decision was the right one and the audit chain is whole, else 1.

    Args:
        serve: leave server and traffic up afterwards, until Ctrl-C.
        seed: which held-out queries are asked in which order.
        rate: queries a second, over all domains.
        plain: lines instead of a live view, as it is done anyway where there is no terminal.
        data: keep everything in this folder, which must be new; a temporary one otherwise.

    Raises:
        InvalidInput: the rate is none.
        Refused: the data folder is not empty.
        Unavailable: the demo's packages are missing, or a process does not come up.
    """
    if not 0 < rate < float("inf"):
        raise InvalidInput(f"the rate must be above 0 queries a second, not {rate}")
    console = Console(highlight=False)
    if not console.is_terminal:
        console, plain = Console(highlight=False, width=_WIDTH), True
    with ExitStack() as stack:
        stack.enter_context(_ending_in_order())
        folder = stack.enter_context(_folder(data))
        console.print("training the models on the training records …")
        scenarios = [_prepare(console, domain, folder) for domain in load_domains()]
        return perform(console, scenarios, folder, serve=serve, seed=seed, rate=rate, plain=plain)


def perform(
    console: Console,
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    serve: bool = False,
    seed: int = 1,
    rate: float = RATE,
    plain: bool = True,
    deadline: float = _DEADLINE,
) -> int:
    """Run trained scenarios over the empty ``folder`` and give the exit code."""
    with ExitStack() as stack:
        plane = stack.enter_context(open_plane(folder))
        for scenario in scenarios:
            register(plane, scenario)
        token = plane.people.create_token("demo", Role.OPERATOR, actor=ACTOR)
        server = stack.enter_context(Server(folder, [scenario.domain.id for scenario in scenarios]))
        console.print(f"vedette serve is up: gateway {server.gateway}, API {server.api}")
        key = plane.people.invite("", Role.ADMIN, actor=ACTOR) if serve else ""
        if key:
            console.print(f"dashboard (this link opens once): {_link(plane, server, key)}", soft_wrap=True)
        orders = Orders(
            gateway=server.gateway,
            api=server.api,
            token=token,
            seed=seed,
            streams=tuple(
                Stream(
                    domain=scenario.domain.id,
                    rate=rate / len(scenarios),
                    questions=tuple((example.query, example.label) for example in scenario.domain.held_out),
                    users=scenario.users,
                )
                for scenario in scenarios
            ),
        )
        traffic = stack.enter_context(Traffic(folder, orders))
        began = time.monotonic()
        sights = _watch(
            plane, scenarios, server, traffic, LiveView(console) if not plain else PlainView(console), deadline
        )
        took = time.monotonic() - began
        code = _conclude(console, plane, sights, traffic, took)
        if serve:
            with suppress(KeyboardInterrupt):
                _stay(console, server, traffic, folder, token, _link(plane, server, key))
        else:
            console.print("see it in the browser, and take a hand in it: the same with --serve")
    return code


def _watch(
    plane: ControlPlane,
    scenarios: Sequence[Scenario],
    server: Server,
    traffic: Traffic,
    view: View,
    deadline: float,
) -> list[Sight]:
    """Let every domain take its course, side by side, and show it; give what was seen last."""
    courses = [Course(plane, scenario) for scenario in scenarios]
    began = time.monotonic()
    try:
        while True:
            server.check()
            traffic.check()
            sights = [course.go_on() for course in courses]
            seconds = time.monotonic() - began
            view.show(seconds, sights, traffic.said)
            if all(sight.done for sight in sights) or seconds > deadline:
                return sights
            time.sleep(_LOOK_EVERY)
    finally:
        view.close()


def _conclude(console: Console, plane: ControlPlane, sights: Sequence[Sight], traffic: Traffic, took: float) -> int:
    console.print()
    verdicts = [verdict for sight in sights for verdict in judge(plane, sight)]
    print_verdicts(console, verdicts)
    findings, head = plane.governance.verify(), plane.governance.head()
    streams = traffic.said["streams"].values()
    answered, failed = sum(one["answered"] for one in streams), sum(one["failed"] for one in streams)
    console.print()
    console.print(f"{answered:,} answers in {took:.0f} s, {answered / took:.0f} a second; {failed:,} requests failed")
    broken = f"BROKEN: {findings[0]}" if findings else "verified, whole"
    console.print(f"audit chain of {head.sequence} entries: {broken}", soft_wrap=True)
    return _result(console, verdicts, sound=not findings)


def _result(console: Console, verdicts: Sequence[Verdict], *, sound: bool) -> int:
    wrong = [f"{verdict.domain}/{verdict.version}" for verdict in verdicts if not verdict.right]
    if wrong:
        console.print(
            f"[bold red]{len(wrong)} of {len(verdicts)} decisions were wrong: {', '.join(wrong)}", soft_wrap=True
        )
    else:
        console.print(f"[bold green]all {len(verdicts)} decisions were the right ones")
    return 0 if sound and not wrong else 1


def _link(plane: ControlPlane, server: Server, key: str) -> str:
    """Give the link that opens the dashboard for an admin who chooses a name; once it was opened, the dashboard."""
    try:
        plane.people.invitation(key)
    except NotFound:
        return f"{server.api}/"
    return f"{server.api}/welcome?key={key}"


def _stay(console: Console, server: Server, traffic: Traffic, folder: Path, token: str, link: str) -> None:
    """Leave everything up until Ctrl-C, and say what can be tried on it."""
    console.print(
        f"""
Server and traffic stay up until Ctrl-C. See it in the browser (a link with a key opens once, for you to choose a name):

  {link}

Or in another terminal:

  curl -s {server.gateway}/chat/completions -H 'content-type: application/json' \\
       -d '{{"model": "legal", "messages": [{{"role": "user", "content": "Supreme Court of Ohio"}}]}}'
  export VEDETTE_SERVER={server.api} VEDETTE_TOKEN={token}
  vedette domain list
  vedette rollout list
  vedette rollout explain legal
  vedette audit verify

The API is described at {server.api}/api/v1/openapi.json, the data is in {folder}.""",
        soft_wrap=True,
        markup=False,
    )
    while True:
        server.check()
        traffic.check()
        time.sleep(1.0)


def _prepare(console: Console, domain: DemoDomain, folder: Path) -> Scenario:
    scenario = prepare(domain, folder / "models")
    console.print(f"  [bold]{domain.id}[/]: {domain.title} ({domain.source}); {scenario.assignment}", soft_wrap=True)
    for artefact in scenario.artefacts:
        error = scenario.errors[artefact.version]
        said = (
            f"    {artefact.version:<20} {artefact.role:<10} errs on {error:6.1%} of what is held out; {artefact.note}"
        )
        console.print(said, soft_wrap=True, markup=False)
    return scenario


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        with tempfile.TemporaryDirectory(prefix="vedette-demo-") as folder:
            yield Path(folder)
        return
    if data.exists() and any(data.iterdir()):
        raise Refused(f"{data} is not empty", hint="the demo begins with nothing; name a new folder")
    data.mkdir(parents=True, exist_ok=True)
    yield data


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no process of it stays behind."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
