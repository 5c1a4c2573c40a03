"""When a daemon counts as silent."""

from __future__ import annotations

import asyncio
import time

import pytest

from buildclient.daemon.silence import IDLE_TIMEOUT, silent, silent_text


async def test_silence_is_told_after_its_time() -> None:
    """Not before it."""
    begun = time.monotonic()
    await asyncio.wait_for(silent(lambda: 7, 0.3), 5)
    assert time.monotonic() - begun >= 0.29


async def test_whoever_speaks_now_and_then_is_not_silent() -> None:
    """Pauses that are shorter than the time never add up."""
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(silent(lambda: int((time.monotonic() - begun) / 0.25), 0.5), 2)


@pytest.mark.parametrize("naps", [1, 3])
async def test_time_that_the_client_slept_through_is_nobody_s_silence(naps: int) -> None:
    """A blocked loop, a stopped process, a closed laptop: each counts as one look."""
    watch = asyncio.ensure_future(silent(lambda: 0, 1.0))
    for _ in range(naps):
        await asyncio.sleep(0.05)
        time.sleep(1.2)
        await asyncio.sleep(0)
    assert not watch.done()
    await asyncio.wait_for(watch, 5)


def test_the_time_bears_what_a_daemon_may_do() -> None:
    """More than the 5 s between two questions and the 15 s that it waits for a late answer, and done within 30 s."""
    assert 5 + 15 < IDLE_TIMEOUT < 30


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        (None, "for 25 s"),
        (True, "for 25 s, while the API server answers"),
        (False, "for 25 s, nor did the API server answer pings: the connection is dead"),
    ],
)
def test_the_message_says_which_of_them_is_gone(answers: bool | None, end: str) -> None:
    """The daemon, or the way to it, as far as that is known."""
    assert silent_text(25, answers) == f"the daemon does not answer: nothing came from it {end}"
