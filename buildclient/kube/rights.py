"""What a refused request of Kubernetes says of the missing right, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple

from buildclient.contract.patterns import pattern

__all__ = ["MissingRight", "missing_right"]

# kubernetes/apiserver, endpoints/handlers/responsewriters/errors.go; what authorizers add follows it.
_FORBIDDEN = pattern(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>[a-z]+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]+)"|at the cluster scope)'
)
# The exec handler asks for `create` itself, and its refusal gives no reason.
_EXEC_FORBIDDEN = pattern(r'pods "[^"]*" is forbidden:\s*\Z')
_CLIENTS = "builder:clients, or clients of a claim, gives the rights of a build"
_MORE = "builder:clients gives it to a client with {}: true"
_ASKED_FOR = {"events": "events", "deployments.apps": "events", "statefulsets.apps": "events"}


class MissingRight(NamedTuple):
    """A right that the user does not have."""

    user: str
    verb: str
    resource: str
    """With its subresource, and the group of any but the core: `pods/exec`, `deployments.apps/scale`."""
    namespace: str
    """Empty for the whole cluster."""

    def __str__(self) -> str:
        where = f"namespace {self.namespace}" if self.namespace else "the whole cluster"
        return f"{self.user} may not {self.verb} {self.resource} in {where}"

    @property
    def hint(self) -> str:
        """Who gives it."""
        name = "scale" if self.resource.endswith("/scale") else _ASKED_FOR.get(self.resource)
        return _MORE.format(name) if name else _CLIENTS


def missing_right(message: str, exec_namespace: str = "") -> MissingRight | None:
    """Reads the API server's message of a status 403; None for another one, such as an admission policy's.

    `exec_namespace` is the pod's of a refused exec.
    """
    found = _FORBIDDEN.search(message)
    if found is None and exec_namespace and _EXEC_FORBIDDEN.match(message):
        return MissingRight("the user", "create", "pods/exec", exec_namespace)
    if found is None:
        return None
    resource, slash, sub = found["resource"].partition("/")
    group = f".{found['group']}" if found["group"] else ""
    return MissingRight(found["user"], found["verb"], f"{resource}{group}{slash}{sub}", found["namespace"] or "")
