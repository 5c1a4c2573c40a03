"""One build beside another, and what became of each: the right image, one clear error, or something worse."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Running", "Verdict", "daemon_of", "digest_of_tag", "pod_of", "processes"]

_ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)


class Verdict(NamedTuple):
    """How a build ended."""

    kind: str
    """`right`, `error`, `unclear` (several errors told), `no end`, or `wrong`."""
    said: str
    """The error's line, or what is wrong."""
    seconds: float
    left: str = ""
    """What it left behind; empty for nothing."""


class Running:
    """One client's build, which runs."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, tag: str) -> None:
        """`folder` is its own, and empty; `command` writes the metadata to `metadata.json` in it."""
        self.tag = tag
        self._folder = folder
        (folder / "tmp").mkdir(parents=True)
        self._log = folder / "log"
        with self._log.open("wb") as file:
            self.process = subprocess.Popen(
                command, env={**environment, "TMPDIR": str(folder / "tmp")}, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self._begun = time.monotonic()
        self._ended = 0.0
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def _wait(self) -> None:
        self.process.wait()
        self._ended = time.monotonic()

    def said(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._waiting.is_alive()

    def finished(self, seconds: float) -> int:
        """Waits for its exit status; -1 if it does not come."""
        self._waiting.join(seconds)
        return -1 if self._waiting.is_alive() else self.process.returncode

    def end(self, seconds: float, digest: str) -> Verdict:
        """Waits for it, for so long since it began, and judges: `digest` is the right image's."""
        self._waiting.join(max(0.1, self._begun + seconds - time.monotonic()))
        if self._waiting.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            self._waiting.join()
            return Verdict("no end", "", seconds)
        status, took = self.process.returncode, self._ended - self._begun
        left = self._left()
        found = digest_of_tag(self.tag)
        said = self.said()
        errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
        if status == 0:
            metadata = json.loads((self._folder / "metadata.json").read_text())["containerimage.digest"]
            right = found == digest == metadata
            return Verdict("right" if right else "wrong", "" if right else f"image {found}", took, left)
        wrong = [
            f"tag put: {found}" if found else "",
            "metadata written" if (self._folder / "metadata.json").exists() else "",
            "no error told" if not errors else "",
            "traceback" if "Traceback (most recent call last)" in said else "",
        ]
        problems = ", ".join(filter(None, wrong))
        line = errors[-1] if errors else said.strip().splitlines()[-1] if said.strip() else ""
        kind = "wrong" if problems else "error" if len(errors) == 1 else "unclear"
        return Verdict(kind, f"{problems}: {line}" if problems else line, took, left)

    def _left(self) -> str:
        session = self.process.pid
        living = [number for number, _ in processes() if _session(number) == session]
        files = os.listdir(self._folder / "tmp")
        return ", ".join([*(f"process {number}" for number in living), *(f"file {name}" for name in files)])


def processes(named: Callable[[list[bytes]], bool] | None = None) -> list[tuple[int, list[bytes]]]:
    """The machine's processes with their command lines; those for whose it is true."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            if named is None or named(words):
                found.append((int(folder.name), words))
    return found


def _session(process: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[3])
    return 0


def pod_of(process: int) -> str:
    """The pod whose BuildKit a step's process descends from; empty if it is gone."""
    with contextlib.suppress(OSError):
        while process > 1:
            if Path(f"/proc/{process}/comm").read_text() == "buildkitd\n":
                return _pod(process)
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return ""


def daemon_of(pod: str) -> int:
    """The process of a pod's buildkitd, as this machine numbers it; 0 for none."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text() == "buildkitd\n" and _pod(int(folder.name)) == pod:
                return int(folder.name)
    return 0


def _pod(process: int) -> str:
    words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((word[9:].decode() for word in words if word.startswith(b"HOSTNAME=")), "")


def digest_of_tag(tag: str) -> str:
    """The digest of a tag, `host:port/name:tag`, in a registry of plain HTTP; empty if there is none."""
    host, _, rest = tag.partition("/")
    name, _, version = rest.rpartition(":")
    request = urllib.request.Request(
        f"http://{host}/v2/{name}/manifests/{version}", method="HEAD", headers={"Accept": _ACCEPT}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return ""
        raise
