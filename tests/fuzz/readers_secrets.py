"""Readers of `--secret` and `--ssh`, of key files, of AWS's files, and of what a daemon asks an agent."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from buildclient.base.errors import UsageError
from buildclient.registry.aws import read_ini
from buildclient.request.secrets import parse_secrets
from buildclient.request.ssh import is_git_ssh, parse_ssh
from buildclient.session import agentwire
from buildclient.session.sshkeys import KeyAgent, KeyFileError, read_key
from tests.fuzz.harness import Reader

__all__ = ["SECRETS"]

_ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_EC = ec.derive_private_key(7, ec.SECP256R1())
_KEYS = tuple(
    key.private_bytes(Encoding.PEM, form, NoEncryption())
    for key, form in (
        (_ED, PrivateFormat.OpenSSH),
        (_EC, PrivateFormat.OpenSSH),
        (_EC, PrivateFormat.TraditionalOpenSSL),
        (_ED, PrivateFormat.PKCS8),
    )
)
_KEY = read_key(_KEYS[0])
_AGENT = KeyAgent([_KEY])
_LIST = agentwire.packed(bytes((agentwire.LIST,)))
_SIGN = agentwire.packed(
    bytes((agentwire.SIGN,)) + agentwire.string(_KEY.public) + agentwire.string(b"data") + bytes(4)
)
_INI = b"# c\n[default]\naws_access_key_id = A ; c\n[profile x]\ns3 =\n  a = b\naws_session_token: 't'\n"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _asked(data: bytes) -> None:
    """The first byte says into pieces of which size the rest is cut."""
    reader, size = agentwire.AgentMessages(), 1 + (data[:1] or b"\0")[0]
    for at in range(1, len(data), size):
        for message in reader.feed(data[at : at + size]):
            answer = _AGENT.answer(message)
            assert answer[0] in (5, agentwire.ANSWERS.get(message[0], 5))


SECRETS = (
    Reader(
        "secret",
        lambda data: parse_secrets([_text(data)], {"TOKEN": "x"}),
        (b"id=a,src=f", b"id=TOKEN", b'"id=a",type=env,"src=x,y"'),
        (b"id=", b"src=", b"source=", b"env=", b"type=", b"file", b",", b'"'),
        (UsageError,),
    ),
    Reader(
        "ssh",
        lambda data: (parse_ssh([_text(data)]), is_git_ssh(_text(data))),
        (b"default", b"a=k.pem,l.pem", b"git@host:a/b.git#x"),
        (b"=", b",", b"ssh://", b"@", b":"),
        (UsageError,),
    ),
    Reader(
        "ssh-key",
        read_key,
        _KEYS,
        (
            b"-----BEGIN ",
            b"-----END ",
            b"PRIVATE KEY-----\n",
            b"Proc-Type: 4,ENCRYPTED\n",
            b"OPENSSH ",
            b"AAAA",
            b"\r\n",
        ),
        (KeyFileError,),
    ),
    Reader(
        "ssh-agent",
        _asked,
        (b"\x03" + _LIST + _SIGN, b"\xff" + _SIGN + _LIST),
        (_LIST, bytes((0, 0, 0, 1)), agentwire.string(_KEY.public), b"\xff\xff\xff\xff"),
        (agentwire.AgentError,),
    ),
    Reader(
        "aws-files",
        lambda data: read_ini(data.decode("utf-8", "replace")),
        (_INI,),
        (b"[", b"]", b"profile ", b"aws_access_key_id", b" = ", b"\n  ", b" ;", b"'", b":"),
    ),
)
