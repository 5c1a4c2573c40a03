"""A keeper for each test."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.keep.ground import Cluster, Ground


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A keeper that is ended afterwards; its socket's path has to be short."""
    cluster = Cluster()
    with tempfile.TemporaryDirectory(prefix="keep-") as folder:
        async with cluster.serving():
            one = Ground(Path(folder), cluster)
            yield one
            one.keep.end("the test is over")
            if one.serving:
                await asyncio.wait_for(one.serving, 5)
