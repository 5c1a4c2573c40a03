"""Real registries on loopback for the tests: Debian's docker-registry, open, with a password, or with tokens.

The token server is a small one of our own; the registry checks its signatures, so that nothing passes by accident.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import json
import secrets
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from localcluster import tools
from tests.jsonserver import served
from tests.load import busy

USER, PASSWORD = "builder", "s3cret"
_BCRYPT = "$2b$05$hUNQfRPECYEdv1z5V1aGUOqR8uitnCp3en2Mh5W4GonE5jqxgX4VK"
"""Of PASSWORD: the registry reads bcrypt alone, and the standard library has none since Python 3.13."""


class Asked(NamedTuple):
    """One request that a server of ours saw."""

    method: str
    path: str
    authorization: str
    body: str
    proxy_authorization: str = ""


@contextlib.contextmanager
def registry(
    folder: Path, auth: Mapping[str, Any] | None = None, host: str = "127.0.0.1", tls: bool | str = False
) -> Iterator[str]:
    """A registry that keeps its data in `folder`; gives `host:port`. `tls` may be the name in its certificate."""
    port = free_port(host)
    http: dict[str, Any] = {"addr": f"{host}:{port}", "secret": "test"}
    if tls:
        certificate, key = certificate_files(folder, tls if isinstance(tls, str) else host)
        http["tls"] = {"certificate": str(certificate), "key": str(key)}
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
        **({"auth": dict(auth)} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(tools.ensure("docker-registry")), "serve", str(path)], stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(host, port, process, folder / "log")
        yield f"{host}:{port}"
    finally:
        process.terminate()
        process.wait(busy(10))


def htpasswd(folder: Path) -> dict[str, Any]:
    """The registry's `auth` for one user with a password."""
    path = folder / "htpasswd"
    path.write_text(f"{USER}:{_BCRYPT}\n")
    return {"htpasswd": {"realm": "test", "path": str(path)}}


def blob(host: str, repository: str, data: bytes, authorization: str = "") -> str:
    """Uploads a blob; gives its digest."""
    headers = {"Authorization": authorization} if authorization else {}
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    begun = urllib3.request("POST", f"http://{host}/v2/{repository}/blobs/uploads/", headers=headers)
    assert begun.status == 202, begun.data
    where = urllib.parse.urljoin(f"http://{host}/", begun.headers["Location"])
    where += ("&" if "?" in where else "?") + f"digest={digest}"
    done = urllib3.request("PUT", where, body=data, headers={**headers, "Content-Type": "application/octet-stream"})
    assert done.status == 201, done.data
    return digest


def image(
    host: str, repository: str, config: Mapping[str, Any], *, docker: bool = False, authorization: str = ""
) -> tuple[str, bytes]:
    """The media type and the bytes of an image without layers whose configuration was uploaded."""
    data = json.dumps(config).encode()
    digest = blob(host, repository, data, authorization)
    kind = "vnd.docker.distribution.manifest.v2" if docker else "vnd.oci.image.manifest.v1"
    of_config = "vnd.docker.container.image.v1" if docker else "vnd.oci.image.config.v1"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"application/{kind}+json",
        "config": {"mediaType": f"application/{of_config}+json", "digest": digest, "size": len(data)},
        "layers": [],
    }
    return str(manifest["mediaType"]), json.dumps(manifest).encode()


class TokenServer:
    """Issues tokens that a registry with `auth` accepts; remembers what it was asked."""

    def __init__(self, folder: Path, *, oauth: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._key, "token")
        self._bundle = folder / "token.pem"
        self._bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._oauth = oauth
        self.asked: list[Asked] = []
        self.realm = ""

    @property
    def auth(self) -> dict[str, Any]:
        """The registry's `auth`."""
        return {
            "token": {
                "realm": self.realm,
                "service": "registry.test",
                "issuer": "issuer.test",
                "rootcertbundle": str(self._bundle),
            }
        }

    @contextlib.contextmanager
    def serving(self) -> Iterator[TokenServer]:
        """Runs it on loopback."""
        with web_server(self._answer, self.asked) as host:
            self.realm = f"http://{host}/token"
            yield self

    def _answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.method == "POST":
            if not self._oauth:
                return 404, {}, b""
            fields = urllib.parse.parse_qs(asked.body)
            good = fields.get("username") == [USER] and fields.get("password") == [PASSWORD]
            good = good or fields.get("refresh_token") == ["identity"]
            scopes = fields.get("scope", [""])[0].split()
        else:
            fields = urllib.parse.parse_qs(urllib.parse.urlsplit(asked.path).query)
            good = asked.authorization == basic(USER, PASSWORD)
            scopes = fields.get("scope", [])
        if not good:
            return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}'
        return 200, {"Content-Type": "application/json"}, json.dumps(self._token(scopes)).encode()

    def _token(self, scopes: list[str]) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": "issuer.test",
            "sub": USER,
            "aud": "registry.test",
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": [
                {"type": kind, "name": name, "actions": actions.split(",")}
                for kind, name, actions in (scope.split(":") for scope in scopes)
            ],
        }
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_url64(json.dumps(header).encode())}.{_url64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        token = f"{signed}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return {"token": token, "access_token": token, "expires_in": 300}


@contextlib.contextmanager
def web_server(
    answer: Callable[[Asked], tuple[int, dict[str, str], bytes]], seen: list[Asked], host: str = "127.0.0.1"
) -> Iterator[str]:
    """A server that answers as `answer` says, and notes in `seen` what it was asked; gives `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            names = ("Authorization", "Proxy-Authorization")
            own, proxy = (self.headers.get(name) or "" for name in names)
            asked = Asked(self.command, self.path, own, body.decode("latin-1"), proxy)
            seen.append(asked)
            status, headers, data = answer(asked)
            self.send_response(status)
            # A promise of more bytes than there are: the connection breaks off.
            more = int(headers.get("X-Promise", "0"))
            self.close_connection = self.close_connection or more > 0
            for name, value in {**headers, "Content-Length": str(len(data) + more)}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815 - the base class names them

        def log_message(self, format: str, *arguments: Any) -> None:
            return None

    with served(Handler, host) as address:
        yield address


def basic(user: str, password: str) -> str:
    """The header of Basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def certificate_files(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(_self_signed(key, name).public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _wait(host: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + busy(20)
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"no registry on {host}:{port}: {log.read_text()}")
