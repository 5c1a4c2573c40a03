"""What Kubernetes allows as a name, so that a name from elsewhere is checked before it goes into a request.

Reference: Kubernetes, "Object Names and IDs" and "Labels and Selectors" (apimachinery `util/validation`).
"""

from __future__ import annotations

from buildclient.contract.patterns import pattern

__all__ = ["is_builder_name", "is_dns_label", "is_dns_subdomain", "is_label_key", "is_label_value"]

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = pattern(_LABEL)
_DNS_SUBDOMAIN = pattern(rf"{_LABEL}(?:\.{_LABEL})*")
_QUALIFIED = pattern(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")


def is_dns_label(text: str) -> bool:
    """Whether it may name a namespace or a container: at most 63 of a-z, 0-9 and inner `-`."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether it may name a pod, a ConfigMap or a workload: labels joined by dots, at most 253 characters."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_builder_name(text: str) -> bool:
    """Whether it may name a builder or one of its nodes: `_` stands for `-` in names of Kubernetes objects."""
    return is_dns_subdomain(text.replace("_", "-").lower())


def is_label_key(text: str) -> bool:
    """Whether it may be a label's key: an optional DNS subdomain and `/`, then at most 63 characters."""
    prefix, slash, name = text.rpartition("/")
    return (is_dns_subdomain(prefix) or not slash) and len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether it may be a label's value: empty, or at most 63 of letters, digits and inner `-`, `_`, `.`."""
    return not text or (len(text) <= 63 and _QUALIFIED.fullmatch(text) is not None)
