"""The tools that break things for `bench.faults` break what they say, and nothing else."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.attempts import Running
from bench.faults import main
from bench.flaky import Mode, flaky_registry
from bench.relay import Direction, Relay
from tests.registries import Asked, web_server


@contextlib.contextmanager
def _echo() -> Iterator[int]:
    """A server that sends back what it gets; gives its port."""

    def serve(one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                one.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_relay_cuts_at_the_byte_that_is_asked_for(direction: Direction) -> None:
    """What is before it arrives, the connection is reset, and the next one is whole."""
    with _echo() as port:
        relay = Relay("127.0.0.1", port)
        relay.cut(direction, 1000)
        got = b""
        with socket.create_connection(("127.0.0.1", relay.port)) as one, contextlib.suppress(OSError):
            one.sendall(bytes(5000))
            while data := one.recv(1 << 16):
                got += data
        assert relay.passed[direction] == 1000
        assert len(got) <= 1000
        with socket.create_connection(("127.0.0.1", relay.port)) as one:
            one.sendall(b"again")
            assert one.recv(100) == b"again"
        relay.close()


def test_a_relay_that_is_reset_refuses_for_a_while() -> None:
    """Connections that are there break, and new ones too."""
    with _echo() as port:
        relay = Relay("127.0.0.1", port)
        one = socket.create_connection(("127.0.0.1", relay.port))
        one.sendall(b"x")
        assert one.recv(10) == b"x"
        assert relay.reset_all(refused=60) == 1
        with one, pytest.raises(ConnectionResetError):
            one.recv(10)
        with socket.create_connection(("127.0.0.1", relay.port)) as new, contextlib.suppress(ConnectionResetError):
            assert new.recv(10) == b""
        relay.close()


@pytest.mark.parametrize("mode", ["reset", "503"])
def test_a_registry_fails_at_the_request_that_is_asked_for(mode: Mode) -> None:
    """Once; those before and after it are answered by the registry behind."""
    seen: list[Asked] = []
    with web_server(lambda asked: (200, {}, asked.path.encode()), seen) as target, flaky_registry(target) as flaky:
        flaky.fail(1, mode)
        told: list[object] = []
        for number in range(3):
            try:
                with urllib.request.urlopen(f"http://{flaky.address}/{number}", timeout=10) as answer:
                    told.append(answer.read())
            except urllib.error.HTTPError as error:
                told.append(error.code)
            except OSError:
                told.append("reset")
    assert told == [b"/0", 503 if mode == "503" else "reset", b"/2"]
    assert [asked.path for asked in seen] == ["/0", "/2"]


@pytest.mark.parametrize(
    ("program", "kind", "left"),
    [
        ("print('ERROR: x'); exit(1)", "error", ""),
        ("print('ERROR: x\\nERROR: y'); exit(1)", "unclear", ""),
        ("print('x'); exit(1)", "wrong", ""),
        ("print('ERROR: x'); open('metadata.json', 'w'); exit(1)", "wrong", ""),
        ("import os; open(os.environ['TMPDIR'] + '/a', 'w'); print('ERROR: x'); exit(1)", "error", "file a"),
        ("import time; time.sleep(60)", "no end", ""),
    ],
)
def test_a_build_is_judged_by_what_it_says_and_leaves(tmp_path: Path, program: str, kind: str, left: str) -> None:
    """One error and nothing else, several, none, a result in spite of it, a file left, no end."""
    with web_server(lambda _: (404, {}, b""), []) as registry:
        running = Running([sys.executable, "-c", program], {}, tmp_path / "run", f"{registry}/a:1")
        verdict = running.end(1.5, "sha256:x")
    assert (verdict.kind, verdict.left) == (kind, left)


def test_what_several_runs_found_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault once, with the builds of all of them and the longest time."""
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for seconds, file in zip((3.0, 9.4), files, strict=True):
        found = {"fault": "buildkitd killed", "ours": [["right", "", seconds, ""]], "docker buildx": []}
        found["docker buildx"] = [["error", "gone", 1.0, ""], ["no end", "", 80.0, ""]]
        file.write_text(json.dumps([found]))
    assert main(["--merge", *map(str, files)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[2:] == ["| buildkitd killed | 2 right, ≤ 9 s | 2 error, 2 no end, ≤ 80 s |"]
