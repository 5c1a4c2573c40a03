"""The Docker Engine API, as far as an image is loaded: `GET /info`, and `POST /images/load` as the archive arrives.

Podman's service answers the same requests. Blocking, for a thread; every wait has a limit.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from buildclient.base.oserrors import reason
from buildclient.engine.address import EngineAddress
from buildclient.engine.dial import EngineLine, dial
from buildclient.engine.errors import EngineError
from buildclient.engine.messages import (
    EngineInfo,
    LoadMessage,
    LoadMessageReader,
    MessageError,
    error_text,
    read_info,
)

__all__ = ["DockerEngine", "DockerLoad", "Timeouts"]

_LOG = logging.getLogger("buildclient.engine")
_MAX_ANSWER = 16 << 20
"""Bytes of an answer that is no stream of messages."""
_CHUNK = 64 << 10
_LAST_WORDS = 5.0
"""Seconds to read why an engine does not take the rest."""


class Timeouts:
    """Seconds that an engine may be silent."""

    ask = 30.0
    """To say what it is."""
    take = 120.0
    """To take the next piece of an archive."""
    load = 600.0
    """While it loads: a large layer is unpacked without a word."""


class DockerEngine:
    """One engine, by its address."""

    def __init__(self, address: EngineAddress, environ: Mapping[str, str], timeouts: type[Timeouts] = Timeouts) -> None:
        """`environ` is what `ssh` runs with."""
        self.description = address.text
        self._address = address
        self._environ = environ
        self._timeouts = timeouts

    def info(self) -> EngineInfo:
        """Asks what the engine is. Raises EngineError."""
        line = dial(self._address, self._environ)
        try:
            connection = self._connection(line, self._timeouts.ask)
            with self._told(line, "does not answer"):
                connection.request("GET", f"{self._address.path_prefix}/info")
                answer = connection.getresponse()
                data = answer.read(_MAX_ANSWER)
            if answer.status != 200:
                raise EngineError(
                    f"failed to detect docker features: {self.description} refuses: "
                    f"{error_text(data, answer.status, answer.reason)}"
                )
            found = read_info(data)
            _LOG.debug(
                "%s: version %s, %s%s",
                self.description,
                found.version,
                found.platform,
                ", takes an index" if found.takes_index else "",
            )
            return found
        except MessageError as error:
            raise EngineError(f"failed to detect docker features: {self.description}: {error}") from None
        finally:
            line.close()

    def load(self) -> DockerLoad:
        """Begins a load. Raises EngineError."""
        line = dial(self._address, self._environ)
        try:
            connection = self._connection(line, self._timeouts.take)
            with self._told(line, "does not take the image"):
                connection.putrequest("POST", f"{self._address.path_prefix}/images/load?quiet=0")
                connection.putheader("Content-Type", "application/x-tar")
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
        except BaseException:
            line.close()
            raise
        return DockerLoad(line, connection, self.description, self._told, self._timeouts.load)

    def _connection(self, line: EngineLine, timeout: float) -> http.client.HTTPConnection:
        line.sock.settimeout(timeout)
        # Through a socket or a program there is no name to ask for.
        local = self._address.scheme != "tcp"
        connection = http.client.HTTPConnection("docker" if local else self._address.host, self._address.port or None)
        connection.auto_open = 0
        connection.sock = line.sock
        return connection

    @contextlib.contextmanager
    def _told(self, line: EngineLine, what: str) -> Iterator[None]:
        """Translates the faults of a connection."""
        try:
            yield
        except TimeoutError:
            raise EngineError(f"the engine at {self.description} {what}: silent for too long") from None
        except (OSError, http.client.HTTPException) as error:
            words = reason(error) if isinstance(error, OSError) else "its answer is not HTTP"
            raise EngineError(f"the engine at {self.description} {what}: {line.why() or words}") from None


class DockerLoad:
    """An archive on its way into the engine; one thread uses it, `abort` may be called in any."""

    def __init__(
        self,
        line: EngineLine,
        connection: http.client.HTTPConnection,
        where: str,
        told: Callable[[EngineLine, str], contextlib.AbstractContextManager[None]],
        load_timeout: float,
    ) -> None:
        self._line = line
        self._connection = connection
        self._where = where
        self._told = told
        self._load_timeout = load_timeout

    def write(self, data: bytes | memoryview) -> None:
        """Sends the next bytes. Raises EngineError, with the engine's reason where it gives one."""
        if not data:
            return
        with self._told(self._line, "broke off while it took the image"):
            if self._line.may_be_asked and self._readable():
                self._refused()
            try:
                for piece in (b"%x\r\n" % len(data), data, b"\r\n"):
                    self._line.sock.sendall(piece)
            except ConnectionError:
                self._refused()

    def finish(self, tell: Callable[[LoadMessage], None]) -> None:
        """Ends the archive and waits until it is loaded; `tell` is called with each message. Raises EngineError."""
        try:
            with self._told(self._line, "broke off while it took the image"):
                self._line.sock.sendall(b"0\r\n\r\n")
                self._line.sock.settimeout(self._load_timeout)
                self._read(self._connection.getresponse(), tell)
        finally:
            self._line.close()

    def abort(self) -> None:
        """Breaks the archive off: the engine then loads nothing."""
        self._line.cut()

    def _readable(self) -> bool:
        # Not `select`, which takes no descriptor over 1023.
        waiting = select.poll()
        waiting.register(self._line.sock, select.POLLIN)
        return bool(waiting.poll(0))

    def _refused(self) -> NoReturn:
        """Raises EngineError with what the engine said instead of taking the rest; OSError where it says nothing."""
        self._line.sock.settimeout(_LAST_WORDS)
        self._read(self._connection.getresponse(), lambda message: None)
        raise BrokenPipeError("it ended before the image did")

    def _read(self, answer: http.client.HTTPResponse, tell: Callable[[LoadMessage], None]) -> None:
        if answer.status != 200:
            raise self._fault(error_text(answer.read(_MAX_ANSWER), answer.status, answer.reason))
        reader, said = LoadMessageReader(), 0
        try:
            while data := answer.read1(_CHUNK):
                said += self._each(reader.feed(data), tell)
            said += self._each(reader.end(), tell)
            if not said:
                # Every engine says what it loaded; an answer may end anywhere if its length is not known.
                raise self._fault("it ended without a word")
        except MessageError as error:
            raise self._fault(str(error)) from None

    def _each(self, messages: Sequence[LoadMessage], tell: Callable[[LoadMessage], None]) -> int:
        for message in messages:
            if message.error:
                raise self._fault(message.error)
            tell(message)
        return len(messages)

    def _fault(self, words: str) -> EngineError:
        return EngineError(f"the engine at {self._where} does not take the image: {words}")
