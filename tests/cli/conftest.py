"""A data folder, the command line on it, and traffic whose errors the test chooses."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result
from tests.cli.server import Server

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.cli.main import cli
from vedette.control.plane import open_plane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.routing.plan import TrafficPlan

STEPS = "10%:0s,50%:0s,100%:0s"


class Stage:
    """One data folder and what happens in it."""

    def __init__(self, folder: Path, *where: str) -> None:
        self.folder = folder
        self.where = where or ("--data", str(folder))
        self._sent = 0

    def run(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run a command on the folder (or its server) as a user would, and check its exit code."""
        result = CliRunner().invoke(cli, [*self.where, *arguments], input=stdin, prog_name="vedette")
        assert result.exit_code == code, (arguments, result.exit_code, result.output)
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command and read the JSON it prints."""
        return json.loads(self.run(*arguments, "-o", "json", code=code).stdout)

    def serving(self) -> Self:
        """Make the domain ``payments``, with ``v1`` stable and ``v2`` registered."""
        with open_plane(self.folder) as plane:
            plane.domains.create("payments", DomainSpec(title="Payments"), actor="ada")
            for version in ("v1", "v2"):
                backend = OpenAIBackend(url="http://127.0.0.1:9/v1", model=version)
                plane.versions.register("payments", version, VersionSpec(backend=backend), actor="ada")
            plane.versions.install("payments", "v1", actor="ada")
        return self

    def rolling(self, *options: str) -> Self:
        """Start a rollout of ``v2`` and let a gateway serve its first step."""
        self.serving()
        self.run("rollout", "start", "payments", "v2", "--steps", STEPS, *options)
        self.work()
        return self

    def work(self, *, canary: int = 0, stable: int = 0, bad: int = 0, passes: int = 1) -> None:
        """Send requests by the plan in force, confirm the plan, and let the reconciler pass over it."""
        with open_plane(self.folder) as plane:
            plan = plane.traffic.plan("payments")
            made = [
                self._outcome(plan, plan.canary.version, failed=index < bad) for index in range(canary) if plan.canary
            ]
            made += [self._outcome(plan, plan.stable, failed=False) for _ in range(stable)]
            if made:
                plane.lake.ship(f"batch-{self._sent}", made)
            for _ in range(passes):
                plane.traffic.confirm("gateway", {"payments": plane.traffic.plan("payments").revision})
                plane.reconciler.tick()
            plane.reconciler.release()

    def _outcome(self, plan: TrafficPlan, version: str, *, failed: bool) -> Outcome:
        self._sent += 1
        return Outcome(
            id=f"o{self._sent}",
            domain="payments",
            at=datetime.now(UTC),
            assigned=version,
            served=version,
            plan_revision=plan.revision,
            bucket=-1,
            status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
            measures={"error": float(failed), "latency_ms": 20.0},
        )


@pytest.fixture
def _no_settings(monkeypatch):
    settings = ("DATA", "SERVER", "OUTPUT", "ANALYTICS", "GATEWAY_AT", "SETTINGS")
    for name in (*(f"VEDETTE_{setting}" for setting in settings), "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VEDETTE_ACTOR", "ada")


@pytest.fixture(scope="session")
def _server(_template):
    with Server(_template) as server:
        yield server


@pytest.fixture(scope="session")
def _template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "data"
    open_plane(folder).close()
    return folder


@pytest.fixture
def here(tmp_path, _template, _no_settings):
    """A stage in a fresh folder, with no setting of the machine's in its way."""
    return Stage(Path(shutil.copytree(_template, tmp_path / "data")))


@pytest.fixture(params=["here", "server"])
def stage(request, here, _server):
    """A stage on a fresh folder, and then one on a server over a fresh folder: commands are the same on both."""
    if request.param == "here":
        yield here
        return
    with _server.over(here.folder) as url:
        yield Stage(here.folder, "--server", url)
