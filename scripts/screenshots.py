"""Take the pictures of the docs: `python -m scripts.screenshots` runs the demo and photographs every view of it.

Each view is taken on a desk (1440 × 900) and on a telephone (390 × 844), light and dark, as WebP in ``docs/dashboard``.
Beside the demo's domains is one with keys and caches, whose last day is made up: nobody waits a day for a picture.
It takes Playwright, Pillow and a Chromium; nothing else needs them.
"""

import argparse
import io
import math
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser
from tests.web import claims
from tests.web.browser import Watched, launched, sign_in, watched
from tests.web.living import Living, living

from vedette.catalog.cache import Semantic
from vedette.catalog.key import KeySpec
from vedette.catalog.limits import Rates
from vedette.control.plane import ControlPlane

FOLDER = Path(__file__).parent.parent / "docs" / "dashboard"
SIZES = {"desk": (1440, 900), "telephone": (390, 844)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_QUALITY = 70


def views(demo: Living) -> dict[str, str]:
    """Name every view and where it is."""
    rollouts = {it.name: it.id for it in demo.plane.canary.page(limit=50).items}
    request = next(
        it.id for it in demo.plane.lake.outcomes("pathology", limit=500).items if it.assigned != "v2-standardised"
    )
    return {
        "fleet": "/",
        "domain": "/domains/legal",
        "domain-caches": "/domains/claims",
        "rollout": f"/rollouts/{rollouts['legal-slowly']}",
        "rollout-taken-back": f"/rollouts/{rollouts['digits-v2-misjoined-labels']}",
        "rollout-approval": f"/rollouts/{rollouts['pathology-by-hand']}",
        "rollouts": "/rollouts",
        "start": "/domains/digits/start",
        "replay": f"/rollouts/{rollouts['digits-v2-curved']}/replay",
        "experiments": "/experiments",
        "experiment": "/experiments/border",
        "experiment-results": "/experiments/border/results?by=user",
        "experiment-health": "/experiments/border/health",
        "experiment-design": "/experiments/border/design",
        "explain": f"/explain?request={request}",
        "audit": "/audit",
        "audit-entry": "/audit/60",
        "people": "/people",
        "jump": "/jump?q=legal",
        "help": "/help",
    }


def main() -> None:
    """Run the demo, and take every view in every size and scheme."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wait", type=float, default=150.0, help="seconds of traffic before the pictures are taken")
    parser.add_argument("--only", default="", help="views to take, separated by commas")
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, living(Path(folder) / "data", rate=150.0) as demo, launched() as browser:
        protect(demo.plane)
        time.sleep(asked.wait)
        answer(demo.plane)
        chosen = {name: path for name, path in views(demo).items() if not asked.only or name in asked.only.split(",")}
        for size in SIZES:
            for scheme in SCHEMES:
                take(browser, demo, size, scheme, chosen)


def protect(plane: ControlPlane) -> None:
    """Make a domain that wants keys and gives answers again."""
    claims.claims(plane, semantic=Semantic())
    now = plane.instruments.now()
    ends = {"mobile-app": timedelta(days=3.5), "partner": timedelta(days=90.5)}
    for name, note in (("mobile-app", "release 4.2"), ("partner", "Brokers Ltd")):
        spec = KeySpec(domains=("claims",), expires_at=now + ends[name], note=note)
        plane.keys.create(name, spec, actor="ann")
    plane.keys.create("batch", KeySpec(limits=Rates(requests_per_minute=60)), actor="ann")


def answer(plane: ControlPlane) -> None:
    """Record a day of it, hour by hour and then minute by minute: more is asked by day, and more of it twice."""
    now = plane.instruments.now()
    for minutes in (*range(23 * 60, 60, -60), *range(60)):
        at = now - timedelta(minutes=minutes)
        day = 1 + math.cos((at.hour + at.minute / 60 - 14) / 12 * math.pi)
        asked = round((60 + 40 * day) * (1 + 0.1 * math.sin(minutes)))
        again = round(asked * (0.15 + 0.12 * day))
        claims.answered(plane, again, claims.HIT, at=at)
        claims.answered(plane, again // 4, claims.HIT | {"similar": 1.0}, at=at)
        latency = 780.0 + 40 * math.sin(minutes / 3)
        claims.answered(plane, asked - again, claims.MISS | {"latency_ms": latency}, at=at)
        claims.answered(plane, int(minutes % 9 == 0), claims.MISS | {"error": 1.0}, at=at)
    for minutes in range(3):
        claims.verified(plane, 16, false=int(minutes == 2), at=now - timedelta(minutes=minutes))


def take(browser: Browser, demo: Living, size: str, scheme: Literal["light", "dark"], chosen: dict[str, str]) -> None:
    """Take views in one size and scheme."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    it = watched(context, demo.base)
    it.go("/sign-in")
    it.page.wait_for_load_state("networkidle")
    if "fleet" in chosen:
        keep(it, f"sign-in-{size}-{scheme}")
    sign_in(it, "ann")
    for name, path in chosen.items():
        it.go(path)
        it.page.wait_for_timeout(250)
        keep(it, f"{name}-{size}-{scheme}")
    context.close()


def keep(it: Watched, name: str) -> None:
    """Keep what the page shows as a small picture."""
    shot = Image.open(io.BytesIO(it.page.screenshot()))
    shot.convert("RGB").save(FOLDER / f"{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    main()
