"""A real browser: Debian's Chromium, driven by Playwright. Where there is none, CI installs it, and other runs skip."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.load import busy

__all__ = ["browser"]

_SOON = 40_000
"""Milliseconds for a page to show what happened."""
_INSTALL = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=200", "chromium"]
_HINT = "no Chromium: apt-get install chromium, or set CI=true and the test does it"


def _chromium() -> str:
    """The browser's path. Skips the test where there is none and none is to be installed."""
    if found := shutil.which("chromium"):
        return found
    if not os.environ.get("CI") or os.geteuid() or not shutil.which("apt-get"):
        pytest.skip(_HINT)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Tests of several files may want it at once.
    with open(os.path.join(tempfile.gettempdir(), "buildkit-builders-chromium.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["apt-get", "update", "-q"], _INSTALL):
            if not shutil.which("chromium"):
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=280, check=False
                )
                if done.returncode:
                    pytest.skip(f"no Chromium, and none to be had: {' '.join(command)}: {done.stderr[-500:]}")
    found = shutil.which("chromium")
    assert found
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts it, without a window."""
    path = _chromium()
    # The machine may have much else to do.
    expect.set_options(timeout=busy(_SOON))
    # As root, which CI is, Chromium has no sandbox; it only sees pages of these tests.
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] * (os.geteuid() == 0))
        try:
            yield started
        finally:
            started.close()
