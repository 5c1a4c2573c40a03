"""URLs from elsewhere: whether one can be used, and what it says of who asks."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

__all__ = ["bracketed", "is_url", "split_login"]


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def is_url(text: str, *schemes: str) -> bool:
    """Whether it is a URL of one of the schemes, any if none is named, with a host and, if at all, a usable port."""
    try:
        parts = urlsplit(text)
        usable = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and (not schemes or parts.scheme in schemes) and text.isprintable() and " " not in text


def split_login(url: str) -> tuple[str, str, str]:
    """A URL without the user and password that may stand in it, and these, unescaped."""
    scheme, separator, rest = url.partition("://")
    end = next((at for at, sign in enumerate(rest) if sign in "/?#"), len(rest))
    login, _, host = rest[:end].rpartition("@")
    username, _, password = login.partition(":")
    return f"{scheme}{separator}{host}{rest[end:]}", unquote(username), unquote(password)
