"""Feeds readers of foreign text with mutated input, the same for the same seed, and shrinks what they fail on.

A failure is an exception that the reader does not document, more than `SLOW` seconds of processor time, or more than
`LARGE` bytes of memory, for an input of at most `LONGEST` bytes.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

SLOW = 1.0
LARGE = 200 << 20
LONGEST = 100_000
_TICK = 0.1
_SHRINK_SECONDS = 5.0
_INTERESTING = (
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e999",
    b" ",
    b"\n",
)
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    float("inf"),
    float("nan"),
    1 << 64,
    "",
    "a",
    "\0",
    "é",
    [],
    {},
    [[]],
    [None],
    {"a": None},
)


class Reader(NamedTuple):
    """One reader of foreign text."""

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()
    """Words of its language, for mutations."""
    allowed: tuple[type[BaseException], ...] = ()
    """What it documents to raise."""
    known: tuple[str, ...] = ()
    """Faults that are known and not mended: `exception function`."""
    json: bool = False
    """Whether the seeds are JSON, whose values are then exchanged, too."""


class Failure(NamedTuple):
    """What went wrong, where, and on which input."""

    what: str
    where: str
    data: bytes
    trace: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """What tells one fault from another."""
        return self.what.partition(":")[0], self.where

    @property
    def named(self) -> str:
        """The exception, and the function that it came from."""
        return f"{self.kind[0]} {self.where.rpartition(' ')[2]}"


class Report(NamedTuple):
    """What a run did and found; one failure of each kind, shrunk."""

    reader: str
    inputs: int
    seconds: float
    failures: tuple[Failure, ...]


class TooSlow(BaseException):
    """Raised inside of a reader that goes over its time; no reader catches it."""


class _Watch:
    """Looks at each tick of processor time whether the reader at work goes over its own."""

    def __init__(self) -> None:
        self.started = 0.0

    def tick(self, number: int, frame: FrameType | None) -> None:
        if self.started and time.process_time() - self.started > SLOW:
            self.started = 0.0
            raise TooSlow


@contextmanager
def watching() -> Iterator[_Watch]:
    """A timer that ends a reader over its time. Python's regular expressions look for signals, too."""
    watch = _Watch()
    before = signal.signal(signal.SIGVTALRM, watch.tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, _TICK, _TICK)
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run(reader: Reader, count: int, seed: int = 0, seconds: float = 3600.0) -> Report:
    """Feeds `count` inputs, or as many as fit into `seconds`."""
    chance = random.Random(f"{reader.name} {seed}")
    pool = list(reader.seeds)
    begun, inputs = time.monotonic(), 0
    found: dict[tuple[str, str], Failure] = {}
    with watching() as watch:
        for inputs in range(1, count + 1):
            data = mutate(reader, pool, chance) if inputs > len(pool) else pool[inputs - 1]
            failure = attempt(reader, data, watch)
            if failure is not None and failure.kind not in found and failure.named not in reader.known:
                found[failure.kind] = shrink(reader, failure, watch)
            if time.monotonic() - begun > seconds:
                break
    return Report(reader.name, inputs, time.monotonic() - begun, tuple(found.values()))


def attempt(reader: Reader, data: bytes, watch: _Watch) -> Failure | None:
    """Feeds one input; what goes wrong, if anything does."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watch.started = time.process_time()
    try:
        reader.read(data)
    except TooSlow as error:
        return Failure(
            f"slow: more than {SLOW} s", _place(error), data, "".join(traceback.format_exception(error)[-6:])
        )
    except reader.allowed:
        pass
    except Exception as error:
        return _failure(f"{type(error).__name__}: {str(error)[:200]}", error, data)
    finally:
        watch.started = 0.0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10
    return Failure(f"large: {grown >> 20} MiB", "", data) if grown > LARGE else None


def shrink(reader: Reader, failure: Failure, watch: _Watch) -> Failure:
    """A shorter input on which the same goes wrong, as far as it is found in a few seconds."""
    end = time.monotonic() + _SHRINK_SECONDS
    size = max(1, len(failure.data) // 2)
    while size and failure.data and time.monotonic() < end:
        at, shorter = 0, False
        while at < len(failure.data) and time.monotonic() < end:
            less = attempt(reader, failure.data[:at] + failure.data[at + size :], watch)
            if less is not None and less.kind == failure.kind:
                failure, shorter = less, True
            else:
                at += size
        if not shorter or size > 1:
            size //= 2
    return failure


def mutate(reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    """An input made of the seeds: values exchanged (JSON), bytes changed, or both."""
    data = chance.choice(pool)
    if reader.json and chance.random() < 0.75:
        data = _other_values(data, reader, chance)
        if chance.random() < 0.8:
            return data[:LONGEST]
    for _ in range(1 << chance.randrange(4)):
        data = chance.choice(_BYTE_STEPS)(data, reader, pool, chance)
    return data[:LONGEST]


def _other_values(data: bytes, reader: Reader, chance: random.Random) -> bytes:
    value = json.loads(data)
    for _ in range(chance.randrange(1, 4)):
        value = _exchanged(value, reader, chance)
    text = json.dumps(value)
    if chance.random() < 0.01:
        # deeper than any reader calls itself
        deep = chance.choice((500, 2000, 20_000))
        text = text.replace("{}", '{"a":' * deep + "1" + "}" * deep, 1).replace("[]", "[" * deep + "]" * deep, 1)
    return text.encode("utf-8", "surrogatepass")


def _exchanged(value: Any, reader: Reader, chance: random.Random) -> Any:
    """The value with one part of it exchanged, taken away or doubled."""
    if chance.random() < 0.25 or not isinstance(value, dict | list) or not value:
        if isinstance(value, str) and chance.random() < 0.5:
            changed = chance.choice(_BYTE_STEPS)(value.encode(errors="replace"), reader, [b""], chance)
            return changed.decode(errors="replace")
        return chance.choice((*_ODD, *(token.decode(errors="replace") for token in reader.tokens)))
    if isinstance(value, list):
        at = chance.randrange(len(value))
        part = chance.choice(([], [value[at]] * 2, [_exchanged(value[at], reader, chance)]))
        return [*value[:at], *part, *value[at + 1 :]]
    key = chance.choice(sorted(value))
    rest = {name: one for name, one in value.items() if name != key}
    if chance.random() < 0.15:
        return rest
    if chance.random() < 0.1 and reader.tokens:
        return {**rest, chance.choice(reader.tokens).decode(errors="replace"): value[key]}
    return {**value, key: _exchanged(value[key], reader, chance)}


def _flipped(data: bytes, reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes((chance.randrange(256),)) + data[at + 1 :]


def _cut(data: bytes, reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    at, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return data[:at] + data[end:]


def _inserted(data: bytes, reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(reader.tokens + _INTERESTING) + data[at:]


def _repeated(data: bytes, reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    piece = data[at : at + chance.choice((1, 2, 4, 16))]
    # Long enough for what costs the square of its length to be seen; rare, since it is dear.
    times = chance.choice((2, 3, 8)) if chance.random() < 0.98 else chance.choice((300, 5000, LONGEST))
    return data[:at] + (piece * times)[:LONGEST] + data[at:]


def _spliced(data: bytes, reader: Reader, pool: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(pool)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


_BYTE_STEPS = (_flipped, _cut, _inserted, _inserted, _repeated, _spliced)


def _failure(what: str, error: BaseException, data: bytes) -> Failure:
    return Failure(what, _place(error), data, "".join(traceback.format_exception(error)[-6:]))


def _place(error: BaseException) -> str:
    """The innermost line of our own code."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "/buildclient/" in one.filename or "/buildkit_builders/" in one.filename]
    one = (ours or frames)[-1]
    return f"{one.filename.rpartition('/')[2]}:{one.lineno} {one.name}"
