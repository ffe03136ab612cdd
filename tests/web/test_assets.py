"""What the browser loads: ours and others' files, as they were recorded, kept by their digest."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from scripts.vendor_assets import PACKAGES

from vedette.web.assets import Assets

ROOT = Path(__file__).parents[2]
FOLDERS = sorted({it.folder for it in PACKAGES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda it: str(it.relative_to(ROOT)))
def test_vendored_files_are_what_was_recorded(folder):
    """Every vendored file hashes to what the manifest says, at the version the script asks for, with a licence."""
    manifest = {it["package"]: it for it in json.loads((folder / "vendor.json").read_text())}
    assert {(it.package, it.version) for it in PACKAGES if it.folder == folder} == {
        (name, it["version"]) for name, it in manifest.items()
    }
    recorded = {name: digest for it in manifest.values() for name, digest in it["files"].items()}
    assert all(it["licence"] for it in manifest.values())
    assert recorded.keys() | {"vendor.json"} == {path.name for path in folder.iterdir()}
    for name, digest in recorded.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_files_are_kept_for_ever_under_the_name_of_their_content(site):
    """A page names its files by digest; each is served, immutable, and an old name is no file."""
    page = site.get("/sign-in").text
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(names) >= 6
    for name in names:
        answer = site.get(name)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert site.get(re.sub(r"\.[0-9a-f]{12}\.", ".000000000000.", names[1])).status_code == 404


def test_manifests_and_licences_are_not_served():
    """Only style sheets, scripts and pictures are files of the site."""
    with pytest.raises(KeyError):
        Assets().url("vendor/vendor.json")


def test_our_own_script_is_small():
    """What we add in the browser stays a page of code."""
    script = ROOT / "src" / "vedette" / "web" / "static" / "page.js"
    assert len(script.read_text().splitlines()) < 200
