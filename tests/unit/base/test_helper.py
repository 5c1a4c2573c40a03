"""Programs that are run for what they print: every way in which one can end."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from buildclient.base.errors import UnreachableError, UsageError
from buildclient.base.helper import HelperAnswer, HelperError, run_helper
from buildclient.kube.credentials import run_plugin
from buildclient.kube.kubeconfig import ExecPlugin
from buildclient.registry.docker_config import DockerConfig

LOG = logging.getLogger("buildclient.test")
ENVIRON = {"PATH": "/usr/bin:/bin", "A": "b"}


def ask(*command: str, given: bytes = b"", timeout: float = 10, folder: str | None = None) -> HelperAnswer:
    """The answer of a command."""
    return run_helper(command, environ=ENVIRON, timeout=timeout, log=LOG, called="helper", given=given, folder=folder)


def test_an_answer_has_status_output_and_last_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A status that is not 0 is an answer; the log has its name and time, and nothing that was given or printed."""
    caplog.set_level(logging.DEBUG, "buildclient")
    script = 'cat; pwd; echo $A; echo one >&2; echo "two " >&2; echo >&2; exit 3'
    answer = ask("sh", "-c", script, given=b"secret\n", folder=str(tmp_path))
    assert answer == (3, f"secret\n{tmp_path}\nb\n".encode(), b"one\ntwo \n\n")
    assert answer.last_line == "two"
    (line,) = caplog.messages
    assert line.startswith("helper: status 3 in ")
    assert "secret" not in line


def test_a_helper_that_reads_nothing_may_end_first() -> None:
    """Input that nobody reads is no fault."""
    assert ask("true", given=b"x" * 1_000_000).status == 0


@pytest.mark.parametrize(
    ("command", "words", "missing", "late"),
    [
        (("/nowhere/helper",), "cannot be run: no such file or directory", True, False),
        (("/etc/passwd",), "cannot be run: permission denied", False, False),
        (("ec\0ho",), "cannot be run: its command or environment has a zero byte", False, False),
        (("sleep", "20"), "did not end within 0 s", False, True),
    ],
)
def test_what_gives_no_answer_is_said(command: tuple[str, ...], words: str, missing: bool, late: bool) -> None:
    """The message goes behind the helper's name."""
    with pytest.raises(HelperError) as caught:
        ask(*command, timeout=0.2)
    assert (str(caught.value), caught.value.missing, caught.value.late) == (words, missing, late)


def test_a_zero_byte_is_told_by_whoever_runs_the_helper(tmp_path: Path) -> None:
    """An argument of an exec plugin, or the name of a credential helper: one line, no traceback."""
    plugin = ExecPlugin("true", "client.authentication.k8s.io/v1", args=("a\0b",))
    with pytest.raises(UnreachableError, match=r"exec plugin true of the kubeconfig cannot be run: .* zero byte"):
        run_plugin(plugin, ENVIRON)
    (tmp_path / "config.json").write_text('{"credsStore": "a\\u0000b"}')
    config = DockerConfig({**ENVIRON, "DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(UsageError, match=r"cannot be run: .* zero byte") as caught:
        asyncio.run(config.get("registry.example"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("to", ["1", "2"])
def test_a_helper_that_prints_without_end_is_ended(to: str) -> None:
    """On either stream, long before its time is over."""
    with pytest.raises(HelperError, match="printed more than 64 MiB") as caught:
        ask("sh", "-c", f"exec cat /dev/zero >&{to}", timeout=60)
    assert not caught.value.late


def test_a_helper_gets_and_gives_more_than_pipes_hold() -> None:
    """Both ways at once."""
    data = bytes(range(256)) * 8000
    assert ask("cat", given=data) == (0, data, b"")
