"""The pepper of keys: from the environment, or from a file that only its owner can read."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from vedette.kernel.errors import Conflict, InvalidInput, Unavailable

VARIABLE: Final = "VEDETTE_KEY_PEPPER"
"""The environment variable that holds it where several machines need the same one."""

FILE: Final = "pepper"
"""Its file in a data folder."""

_SHORTEST = 16


def find(environment: Mapping[str, str], file: Path | None) -> bytes | None:
    """Give the pepper; None when there is none yet.

    Raises:
        InvalidInput: it is too short to be one.
        Unavailable: its file cannot be read.
    """
    said = environment.get(VARIABLE, "").strip()
    if not said and file is not None:
        try:
            said = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Unavailable(f"the pepper of keys in {file} cannot be read: {error}") from error
    if not said:
        return None
    if len(said.encode()) < _SHORTEST:
        raise InvalidInput(f"the pepper of keys is shorter than {_SHORTEST} bytes", hint="openssl rand -hex 32")
    return said.encode()


def draft() -> bytes:
    """Draw a pepper that is nobody's yet."""
    return secrets.token_hex(32).encode()


def keep(pepper: bytes, file: Path) -> None:
    """Put a pepper into its file, which only its owner can read; the one that is there stays.

    Raises:
        Conflict: there is another one.
        Unavailable: the file can neither be read nor made.
    """
    written = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(descriptor, pepper)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):  # another process was quicker: its pepper is the one
            os.link(written, file)
        written.unlink()
    except OSError as error:
        raise Unavailable(f"the pepper of keys cannot be kept in {file}: {error}") from error
    there = find({}, file)
    if there is None:
        raise Unavailable(f"the pepper of keys in {file} is empty", hint=f"remove it, or set {VARIABLE}")
    if there != pepper:
        raise Conflict(f"somebody else has made the pepper of keys in {file} meanwhile", hint="try again")
