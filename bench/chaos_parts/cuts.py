"""The power cuts: a file system in a file, writers on it, a copy of it at some moment, and what is on the copy."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.chaos_parts.judging import everything, repeated, wrong_sums
from bench.chaos_parts.writer import DOMAIN

from vedette.lake.journal import Journal
from vedette.lake.outcomes import Lake

_SIZE = 400 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What one cut left."""

    shipped: int
    stored: int
    appended: int
    found: int
    lost: int
    twice: int
    sums: int
    wrong: int
    segments: int


def run(cuts: int, seed: int, *, careless: bool) -> int:
    """Do so many cuts; gives the exit code."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        raise SystemExit("a power cut needs root and mkfs.ext4, to mount a file system of its own")
    draw, bad = random.Random(seed), 0
    for number in range(cuts):
        with tempfile.TemporaryDirectory(prefix="vedette-cut-") as folder:
            cut = _cut(Path(folder), draw.uniform(1.5, 4.0), "append-carelessly" if careless else "append")
        bad += cut.lost + cut.twice + cut.wrong
        store = f"{cut.shipped:,} acknowledged by the store, {cut.stored:,} there, {cut.segments} segments"
        journal = f"{cut.appended:,} by the journal, {cut.found:,} there"
        wrong = f"{cut.lost} lost, {cut.twice} twice, {cut.wrong} of {cut.sums} sums wrong"
        print(f"cut {number + 1}: {store}; {journal}; {wrong}", flush=True)
    print("nothing acknowledged was lost" if not bad else "NOT SOUND")
    return int(bool(bad))


def _cut(folder: Path, seconds: float, journal: str) -> Cut:
    image, copy = folder / "disk.img", folder / "copy.img"
    with image.open("wb") as file:
        file.truncate(_SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)  # noqa: S603, S607 - Debian's
    with _mounted(image, folder / "disk") as disk:
        lake = Lake(f"sqlite:///{disk}/outcomes.db")
        lake.migrate()
        lake.close()
        os.sync()
        acknowledged = _acknowledged(disk, folder, copy, seconds, journal)
    shipped = [name for writer in ("one", "two") for name in acknowledged[writer]]
    with _mounted(copy, folder / "up-again") as disk:
        lake = Lake(f"sqlite:///{disk}/outcomes.db")
        stored = everything(lake, DOMAIN)
        compared, wrong = wrong_sums(lake, DOMAIN, stored)
        holdings = lake.holdings()
        lake.close()
        heir = Journal(disk / "journal", "heir")
        found = {outcome.id for batch in heir.unshipped() for outcome in batch.outcomes}
        heir.close()
    there = {outcome.id for outcome in stored}
    lost = [name for name in shipped if name not in there] + [n for n in acknowledged["jrnl"] if n not in found]
    return Cut(
        shipped=len(shipped),
        stored=len(stored),
        appended=len(acknowledged["jrnl"]),
        found=len(found),
        lost=len(lost) + len(holdings.missing),
        twice=len(repeated(outcome.id for outcome in stored)),
        sums=compared,
        wrong=len(wrong),
        segments=holdings.segments,
    )


def _acknowledged(disk: Path, folder: Path, copy: Path, seconds: float, journal: str) -> dict[str, list[str]]:
    """Let the writers write, stop them at once, copy the disk as it is; give what each was told to be safe."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}
    program = Path(__file__).with_name("writer.py")
    writers: dict[str, subprocess.Popen[bytes]] = {}
    for verb, name in (("ship", "one"), ("ship", "two"), ("seal", "seal"), (journal, "jrnl")):
        with (folder / f"{name}.said").open("wb") as output, (folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, str(program), verb, str(disk), name]
            writers[name] = subprocess.Popen(command, stdout=output, stderr=log, env=environment)  # noqa: S603 - our own program
    end = time.monotonic() + 30
    while any(not (folder / f"{name}.said").stat().st_size for name in ("one", "two", "jrnl")):
        if time.monotonic() > end or any(writer.poll() is not None for writer in writers.values()):
            raise SystemExit("".join((folder / f"{name}.log").read_text() for name in writers))
        time.sleep(0.01)
    time.sleep(seconds)
    for writer in writers.values():
        writer.send_signal(signal.SIGSTOP)
    said = {name: _whole_lines(folder / f"{name}.said") for name in writers}
    shutil.copyfile(disk.with_name("disk.img"), copy)
    for writer in writers.values():
        writer.kill()
        writer.wait()
    return said


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().rpartition("\n")[0].split()


@contextlib.contextmanager
def _mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-o", "loop", image, at], check=True)  # noqa: S603, S607 - as installed
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)  # noqa: S603, S607 - as installed
