"""A Chromium, whatever this machine has of one; and pages that take note of everything they should not do."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.web.site import PASSWORD

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


def chromium() -> str:
    """Give the path of a Chromium: the one named by VEDETTE_CHROMIUM, or the machine's, or one apt brings.

    Without any, tests fail in CI and are skipped, saying so, on somebody's own machine.
    """
    named = os.environ.get("VEDETTE_CHROMIUM", "")
    found = named or next((path for name in _NAMES if (path := shutil.which(name))), "")
    if not found and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium"],
        ):
            subprocess.run(command, check=False, capture_output=True, timeout=600)
        found = shutil.which("chromium") or ""
    if found:
        return found
    said = "no Chromium here: install one (apt install chromium) or name it in VEDETTE_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(f"THE DASHBOARD WAS NOT TRIED IN A BROWSER: {said}")


_PATIENCE = 60_000.0  # ms: machines are shared


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser, without a window."""
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page and what it did that it should not: errors, refusals of the policy, requests to other hosts."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page of the dashboard."""
        self.page.goto(self.base + path)
        return self.page


def watched(context: BrowserContext, base: str) -> Watched:
    """Open a page that takes note."""
    page = context.new_page()
    page.set_default_timeout(_PATIENCE)
    it = Watched(page, base)
    host = urlsplit(base).netloc

    def console(message: Any) -> None:
        if message.type in {"error", "warning"}:
            it.faults.append(f"{page.url}: console {message.type}: {message.text}")

    def request(asked: Any) -> None:
        if urlsplit(asked.url).netloc != host:
            it.faults.append(f"{page.url}: asked {asked.url}")

    page.on("console", console)
    page.on("request", request)
    page.on("pageerror", lambda error: it.faults.append(f"{page.url}: {error}"))
    return it


def sign_in(it: Watched, name: str) -> Watched:
    """Sign a person in through the form."""
    it.go("/sign-in")
    it.page.fill("[name=name]", name)
    it.page.fill("[name=password]", PASSWORD)
    it.page.click("button.primary")
    it.page.wait_for_url(it.base + "/")
    return it


def axe(page: Page) -> list[str]:
    """Check a page by axe-core and give every violation: its rule, and where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{page.url}: {it['id']} ({it['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for it in found["violations"]
        for node in it["nodes"]
    ]
