"""Fetch the scripts of others that the dashboard serves, and those its tests use: `python -m scripts.vendor_assets`.

npm is asked for exact versions, the chosen files are copied, and a manifest says where each came from, under which
licence, and its SHA-256. The files are committed: neither an installation nor CI needs Node.
"""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src" / "vedette" / "web" / "static" / "vendor"
TESTS = ROOT / "tests" / "web" / "vendor"
MANIFEST = "vendor.json"


@dataclass(frozen=True)
class Vendored:
    """A package of npm at a version, and which of its files go where."""

    package: str
    version: str
    files: tuple[tuple[str, str], ...]
    folder: Path


PACKAGES = (
    Vendored("htmx.org", "4.0.1", (("dist/htmx.min.js", "htmx.min.js"), ("LICENSE", "htmx.LICENSE")), STATIC),
    Vendored("axe-core", "4.14.1", (("axe.min.js", "axe.min.js"), ("LICENSE", "axe.LICENSE")), TESTS),
)


def main() -> None:
    """Fetch every package and write both manifests."""
    manifests: dict[Path, list[dict[str, object]]] = {}
    for it in PACKAGES:
        manifests.setdefault(it.folder, []).append(_fetch(it))
    for folder, entries in manifests.items():
        (folder / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _fetch(it: Vendored) -> dict[str, object]:
    with TemporaryDirectory() as place:
        command = ["npm", "pack", "--silent", f"{it.package}@{it.version}"]
        done = subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)  # noqa: S603 - exact versions from above
        archive = Path(place) / done.stdout.strip()
        with tarfile.open(archive) as packed:
            about = json.loads(_read(packed, "package.json"))
            contents = {name: _read(packed, path) for path, name in it.files}
        it.folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (it.folder / name).write_bytes(content)
    return {
        "package": it.package,
        "version": about["version"],
        "licence": about["license"],
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }


def _read(packed: tarfile.TarFile, path: str) -> bytes:
    found = packed.extractfile(f"package/{path}")
    if found is None:
        raise FileNotFoundError(path)
    return found.read()


if __name__ == "__main__":
    main()
