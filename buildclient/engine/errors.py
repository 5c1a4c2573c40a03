"""Faults of the engines that images are loaded into."""

from __future__ import annotations

from buildclient.base.errors import ClientError

__all__ = ["NO_ENGINE", "EngineError"]

NO_ENGINE = "without an engine, write a file with -o type=docker,dest=FILE or push with --push"
"""The hint where no engine is found."""


class EngineError(ClientError):
    """An engine is not there, refuses an image, or breaks off; the message names its address."""

    of_build = True
