"""A laboratory for the pages of experiments: a domain whose users answer by the traffic plan in force."""

from tests.control import trials

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.kernel.documents import load

USES = [
    {"metric": "accuracy", "role": "primary"},
    {"metric": "errors", "role": "guardrail", "margin": 0.1},
    {"metric": "latency-mean", "role": "secondary"},
]
BRIEF = {"name": "brief", "override": {"prompt": {"system": "Be brief."}}}
WARM = {"name": "warm", "override": {"parameters": {"temperature": 0.9}}}


class Lab:
    """A plane with the domain ``support``, and what the helpers of `trials` ask of a world."""

    def __init__(self, plane):
        self.plane = plane
        self.clock = plane.instruments
        config = {"metrics": trials.METRICS, "assignment": {"unit": "user"}}
        plane.domains.create("support", load(DomainSpec, {"config": config}), actor="ann")
        for name in ("v1", "v2"):
            backend = {"kind": "openai", "url": "http://127.0.0.1:9/v1", "model": name}
            plane.versions.register("support", name, load(VersionSpec, {"backend": backend}), actor="ann")
        plane.versions.install("support", "v1", actor="ann")

    def draft(self, name="tone", variants=("base", BRIEF, WARM), **design):
        """Draft an experiment."""
        asked = {"metrics": USES, "min_units": 20} | design
        return self.plane.experiments.create_test("support", list(variants), name=name, actor="oda", **asked)

    def run(self, name="tone", turns=2, users=500, **chances):
        """Start an experiment that is a draft, and let users answer and the reconciler look a few times."""
        if self.plane.experiments.get(name).status.phase == "draft":
            self.plane.experiments.start(name, actor="oda")
        for turn in range(turns):
            trials.answer(self, domain="support", users=users, requests=2, seed=turn + 1, **chances)
            self.plane.reconciler.tick()
        return self.plane.experiments.get(name)
