"""Readers of foreign text do what they document, whatever they are given; and the harness notices when one does not."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.fuzz.found import FOUND
from tests.fuzz.harness import Reader, attempt, run, watching
from tests.fuzz.readers import READERS

COUNT = 200


@pytest.mark.parametrize("name", READERS)
def test_no_input_breaks_a_reader(name: str) -> None:
    """A few hundred mutated inputs: each is read or refused as documented, in bounded time and memory."""
    report = run(READERS[name], COUNT)
    assert [f"{one.what} at {one.where}: {one.data[:200]!r}" for one in report.failures] == []
    assert report.inputs == COUNT


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_is_mended(name: str) -> None:
    """Each input that broke a reader is read or refused as documented."""
    with watching() as watch:
        failures = [attempt(READERS[name], data, watch) for data in FOUND[name]]
    assert [f"{one.what} at {one.where}: {one.data[:200]!r}" for one in failures if one] == []


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_corpus_is_read(name: str) -> None:
    """Seeds that are all refused would test refusals alone."""
    reader = READERS[name]
    assert any(_reads(reader, seed) for seed in reader.seeds)


def _reads(reader: Reader, data: bytes) -> bool:
    try:
        reader.read(data)
    except reader.allowed:
        return False
    return True


def _strict(data: bytes) -> object:
    if b"\0" in data and b'"' in data:
        raise KeyError("both")
    return None


def _slow(data: bytes) -> object:
    return re.match(rb"(a*)*$", b"a" * 40 + b"b" + data)


def _endless(data: bytes) -> object:
    while True:
        try:
            time.process_time()
        except Exception:
            continue


def _large(data: bytes) -> object:
    return len(bytearray(b"x") * (300 << 20))


def test_an_exception_that_is_not_documented_is_found_and_its_input_shrunk() -> None:
    """Out of a long input stays what the fault needs."""
    reader = Reader("strict", _strict, (b'{"some": "text"}' * 20,), json=False)
    report = run(reader, 2000)
    assert [one.what for one in report.failures] == ["KeyError: 'both'"]
    assert sorted(report.failures[0].data) == sorted(b'\0"')


def test_documented_and_known_exceptions_are_no_failures() -> None:
    """Neither are counted."""
    reader = Reader("strict", _strict, (b'"\0',))
    assert run(reader._replace(allowed=(KeyError,)), 100).failures == ()
    assert run(reader._replace(known=("KeyError _strict",)), 100).failures == ()


@pytest.mark.parametrize("read", [_slow, _endless], ids=["regular expression", "loop"])
def test_a_reader_that_does_not_end_is_ended(read: object) -> None:
    """Also one that catches every exception, or is inside of a regular expression."""
    reader = Reader("slow", read, (b"",))  # type: ignore[arg-type]
    assert [one.what for one in run(reader, 1).failures] == ["slow: more than 1.0 s"]


def test_memory_is_watched() -> None:
    """300 MiB for one byte are too much."""
    report = run(Reader("large", _large, (b"x",)), 1)
    assert [one.kind[0] for one in report.failures] == ["large"]


def test_the_same_seed_gives_the_same_inputs() -> None:
    """And another seed gives others; values of JSON are exchanged with it staying JSON mostly."""

    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        run(Reader("seen", seen.append, (b'{"a": [1, "b"]}',), json=True), 300, seed)
        return seen

    first = inputs(1)
    assert inputs(1) == first
    assert inputs(2) != first
    assert 100 < sum(_is_json(one) for one in first) < 300


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
