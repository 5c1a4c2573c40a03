"""Asks a part over its own port whether it serves; a process that is merely there proves nothing."""

from __future__ import annotations

import functools
import http.client
import json
import ssl

from localcluster.instance import API_PORT, Instance

__all__ = ["answers", "api"]

_TIMEOUT = 5


def api(
    instance: Instance, method: str, path: str, body: object = None, kind: str = "application/json"
) -> tuple[int, bytes]:
    """One request to the apiserver as administrator: status and body; status 0 when it cannot be reached."""
    try:
        context = _trusting(str(instance.pki), (instance.pki / "ca.crt").stat().st_mtime_ns)
    except OSError:
        return 0, b""
    connection = http.client.HTTPSConnection(instance.control_address, API_PORT, context=context, timeout=_TIMEOUT)
    data = None if body is None else json.dumps(body).encode()
    return _ask(connection, method, path, data, {"Content-Type": kind, "Accept": "application/json"})


def answers(instance: Instance, address: str, port: int, path: str, *, tls: bool) -> bool:
    """Whether a GET gives 200, with the administrator's certificate where TLS is spoken.

    Whose certificate the other side has is not asked: daemons make their own, and the address is ours alone.
    """
    connection: http.client.HTTPConnection
    if tls:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.load_cert_chain(instance.pki / "admin.crt", instance.pki / "admin.key")
        except OSError:
            return False
        connection = http.client.HTTPSConnection(address, port, context=context, timeout=_TIMEOUT)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT)
    return _ask(connection, "GET", path, None, {})[0] == 200


@functools.cache
def _trusting(folder: str, _made: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
    return context


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, data: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
