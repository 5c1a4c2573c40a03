"""Secret random bytes for each registry, kept beside Docker's configuration in the file that buildx uses too.

They make the daemon's cache of tokens ours alone: who does not know the seed cannot use a token fetched with it.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
from typing import Any

from buildclient.base.files import read_bounded, replace_whole
from buildclient.contract.jsontext import read_json

__all__ = ["TokenSeeds"]

_SIZE = 16
_FILE = ".token_seed"


class TokenSeeds:
    """Seeds in a folder; where it can't be written, seeds that live as long as this object."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[str, bytes] = {}

    def __call__(self, host: str) -> bytes:
        """The seed of a host, made at the first call."""
        if host not in self._known:
            try:
                self._known[host] = self._kept(host)
            except OSError:
                self._known[host] = secrets.token_bytes(_SIZE)
        return self._known[host]

    def _kept(self, host: str) -> bytes:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        path = os.path.join(self._folder, _FILE)
        with open(f"{path}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = _read(path)
            try:
                seed = base64.b64decode(table[host]["Seed"], validate=True)
            except (KeyError, TypeError, binascii.Error):
                seed = secrets.token_bytes(_SIZE)
                table[host] = {"Seed": base64.b64encode(seed).decode()}
                _write(path, table)
            return seed


def _read(path: str) -> dict[str, Any]:
    try:
        table = read_json(read_bounded(path))
    except (FileNotFoundError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _write(path: str, table: dict[str, Any]) -> None:
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replace_whole(handle, os.path.basename(path), json.dumps(table).encode(), 0o600)
    finally:
        os.close(handle)
