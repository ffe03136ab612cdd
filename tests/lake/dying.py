"""A sealer that dies: before any statement to the database, and around every step a file takes to its place."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, update

from vedette.lake.outcomes import Lake


def seal_until(url: str, folder: Path, step: int) -> None:
    """Seal in this process, and be killed at the given step; steps are counted from 1."""
    left = step

    def burn(*_: object, **__: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    lake = Lake(url, segments=folder)
    for moment in ("before_cursor_execute", "commit"):
        event.listen(Engine, moment, burn)
    os.fsync = _burning(os.fsync, burn)
    for verb in ("rename", "unlink"):
        setattr(Path, verb, _burning(getattr(Path, verb), burn))
    lake.seal()
    lake.close()


def lapse(lake: Lake) -> None:
    """Let the lease of a sealer run out, as that of a dead one does in time."""
    with lake._database.writing() as connection:
        connection.execute(update(lake._tables.sealing).values(expires=0.0))


def _burning(step: Callable[..., Any], burn: Callable[..., None]) -> Callable[..., Any]:
    def burned(*arguments: Any, **named: Any) -> Any:
        burn()
        done = step(*arguments, **named)
        burn()
        return done

    return burned
