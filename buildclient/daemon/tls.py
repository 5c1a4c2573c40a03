"""TLS to a daemon at a TCP address: the files that a node names, and what went wrong in a few words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from buildclient.base.errors import ConfigurationError
from buildclient.base.oserrors import reason

__all__ = ["tls_context", "tls_reason"]

_ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a client certificate",
    "ALERT_BAD_CERTIFICATE": "it does not accept the client certificate (bad certificate)",
    "ALERT_CERTIFICATE_EXPIRED": "it does not accept the client certificate (expired)",
    "ALERT_CERTIFICATE_REVOKED": "it does not accept the client certificate (revoked)",
    "ALERT_CERTIFICATE_UNKNOWN": "it does not accept the client certificate",
    "ALERT_UNKNOWN_CA": "it does not know who signed the client certificate",
    "ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: does it want a client certificate?",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "UNEXPECTED_EOF": "it closed the connection during the TLS handshake",
}
"""Parts of OpenSSL's reason -> what it means here."""


def tls_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Returns the context for the files `ca`, `cert` and `key`; without `ca` the system's authorities are trusted.

    Raises ConfigurationError that names the file at fault.
    """
    ca, cert, key = tls.get("ca"), tls.get("cert"), tls.get("key")
    if bool(cert) != bool(key):
        raise ConfigurationError(
            f"a client certificate is two files, cert and key: {'key' if cert else 'cert'} is not given"
        )
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise ConfigurationError(f"{ca} holds no certificates in PEM form") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read the CA certificates {ca}: {reason(error)}") from None
    # As Go: certificates of simple authorities lack what the strict check wants.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    context.set_alpn_protocols(["h2"])
    if cert and key:
        _load(context, cert, key)
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """Returns why a connection failed, in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    for part, text in _ALERTS.items():
        if part in (error.reason or str(error)):
            return text
    return f"TLS: {(error.reason or reason(error)).replace('_', ' ').lower()}"


def _load(context: ssl.SSLContext, cert: str, key: str) -> None:
    def no_password() -> str:
        raise ConfigurationError(f"the client key {key} is encrypted; a key without a passphrase is needed")

    for name in (cert, key):
        try:
            with open(name, "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(f"cannot read the client certificate's file {name}: {reason(error)}") from None
    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        what = (
            "do not belong together" if "MISMATCH" in (error.reason or "") else "are no certificate and key in PEM form"
        )
        raise ConfigurationError(f"{cert} and {key} {what}") from None
