"""Loads an archive into a namespace of containerd, through `ctr images import`, which is wherever containerd is."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from buildclient.base.helper import HelperError, run_helper
from buildclient.base.oserrors import reason
from buildclient.contract.platform import Platform
from buildclient.engine.errors import NO_ENGINE, EngineError
from buildclient.engine.messages import EngineInfo, LoadMessage

__all__ = ["ContainerdEngine", "CtrLoad", "import_command"]

_LOG = logging.getLogger("buildclient.engine")
_ASK = 30.0
_LOAD = 600.0
"""Seconds for `ctr` to end once it has the whole archive, and to take one piece of it."""
_SAID = 64 << 10
"""Bytes of what `ctr` prints that are kept."""


class ContainerdEngine:
    """One namespace of one containerd."""

    def __init__(self, path: str, namespace: str, environ: Mapping[str, str]) -> None:
        self.description = f"containerd:///{path.lstrip('/')}?namespace={namespace}"
        self._socket = path
        self._base = ["ctr", "--address", path, "--namespace", namespace]
        self._environ = environ

    def info(self) -> EngineInfo:
        """Asks whether containerd is there. Raises EngineError."""
        what = f"cannot load into {self.description}"
        command = [*self._base, "version"]
        try:
            # Where nobody listens, `ctr` would try for ten seconds.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(_ASK)
                probe.connect(self._socket)
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise EngineError(f"{what}: connect to {self._socket}: {why}", hint=NO_ENGINE) from None
        try:
            answer = run_helper(command, environ=self._environ, timeout=_ASK, log=_LOG, called="ctr version")
        except HelperError as error:
            hint = "it is part of containerd, and loads images into it" if error.missing else ""
            raise EngineError(f"{what}: ctr {error}", hint=hint) from None
        if answer.status:
            raise EngineError(f"{what}: {_plain(answer.last_line) or f'ctr ended with status {answer.status}'}")
        return EngineInfo(None, True)

    def load(self, platforms: Sequence[Platform], named: bool) -> CtrLoad:
        """Begins a load of an image for these platforms; none is that of the machine. Raises EngineError.

        An image that is not `named` gets a name with its digest.
        """
        command = import_command(self._base, platforms, named)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self._environ),
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"cannot load into {self.description}: ctr cannot be run: {reason(error)}") from None
        return CtrLoad(process, self.description)


def import_command(base: Sequence[str], platforms: Sequence[Platform], named: bool) -> list[str]:
    """Returns the command that imports an archive from standard input."""
    which = ["--platform", str(platforms[0])] if len(platforms) == 1 else ["--all-platforms"] if platforms else []
    return [*base, "images", "import", *which, *([] if named else ["--digests"]), "-"]


class CtrLoad:
    """An archive on its way into containerd; one thread uses it, `abort` may be called in any."""

    def __init__(self, process: subprocess.Popen[bytes], where: str) -> None:
        self._process = process
        self._where = where
        self._said = b""
        self._begun: float | None = None
        self._late = False
        threading.Thread(target=self._watch, daemon=True).start()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def write(self, data: bytes | memoryview) -> None:
        """Sends the next bytes. Raises EngineError, with the reason that `ctr` gives."""
        stdin = self._process.stdin
        assert stdin is not None
        self._begun = time.monotonic()
        try:
            stdin.write(data)
        except (OSError, ValueError):
            if self._late:
                raise EngineError(f"{self._where} took nothing of the image for {_LOAD:.0f} s") from None
            raise self._failed() from None
        finally:
            self._begun = None

    def finish(self, tell: Callable[[LoadMessage], None]) -> None:
        """Ends the archive and waits until it is imported; `tell` gets what `ctr` says. Raises EngineError."""
        assert self._process.stdin is not None
        # Its end may be refused as well: `ctr` then says why.
        self._begun = time.monotonic()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()
        self._begun = None
        try:
            status = self._process.wait(_LOAD)
        except subprocess.TimeoutExpired:
            self.abort()
            raise EngineError(f"{self._where} did not take the image within {_LOAD:.0f} s") from None
        if status:
            raise self._failed()
        self._reading.join(1)
        for line in self._said.decode(errors="replace").splitlines():
            tell(LoadMessage(stream=line + "\n"))

    def abort(self) -> None:
        """Ends `ctr`: containerd then has no image."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def _failed(self) -> EngineError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._reading.join(1)
        lines = self._said.decode(errors="replace").strip().splitlines()
        why = _plain(lines[-1]) if lines else f"ctr ended with status {self._process.returncode}"
        return EngineError(f"{self._where} does not take the image: {why}")

    def _watch(self) -> None:
        """Ends a `ctr` that takes nothing: a write to it would wait without end."""
        while self._process.poll() is None:
            begun = self._begun
            if begun is not None and time.monotonic() - begun > _LOAD:
                self._late = True
                self.abort()
            time.sleep(min(1.0, _LOAD))

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while data := self._process.stdout.read1(4096):  # type: ignore[attr-defined]
                self._said = (self._said + data)[-_SAID:]
        self._process.wait()


def _plain(line: str) -> str:
    return line.removeprefix("ctr: ").strip()
