"""Creating an object. The texts of errors are the real provider's, as users know them."""

from __future__ import annotations

from typing import Any, Final

from standins.provider.apply import force
from standins.provider.asked import APPLY, Asked, Failed, explained, left_of
from standins.provider.await_.waitfor import BadWaitFor
from standins.provider.checkpoint import checkpoint, live_status_removed, manifest
from standins.provider.cluster import Cluster
from standins.provider.engine_log import StatusLine
from standins.provider.errors import NoMatch, Partial, StatusError, Unfinished
from standins.provider.names import field_manager
from standins.provider.objects import Object, identifier, kind_key
from standins.provider.ready import await_ready
from standins.provider.values import has_unknown

__all__ = ["create"]

_CREATED_BY: Final = "pulumi-kubernetes"
"""Creates go under this name; the first update hands their fields to the object's own manager."""

_RETRIES: Final = 5

_EXISTS_HELP = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""


def create(cluster: Cluster, asked: Asked, properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Makes an object and waits for it: its id and state. A preview has no id, and without a useful answer of the
    server the inputs stand for the state. Raises Failed or Partial."""
    inputs = manifest(properties)
    if asked.preview and (has_unknown(inputs) or not cluster.knows(inputs) or not cluster.settings.server_side_apply):
        return "", properties
    _ = cluster.client
    manager = field_manager({}, inputs, server_side=cluster.settings.server_side_apply)
    line = StatusLine(cluster.log, asked.urn)
    try:
        live = _created(cluster, asked, inputs, manager, line)
    except (StatusError, NoMatch) as error:
        if asked.preview and isinstance(error, StatusError) and _no_obstacle(error):
            return "", properties
        raise _refused(asked, inputs, error) from error

    def state(found: Object) -> dict[str, Any]:
        return checkpoint(inputs, found, properties, inputs.get("apiVersion", ""), manager)

    if asked.preview:
        return "", state(live_status_removed(live))
    line.clear()
    try:
        live = await_ready(cluster, inputs, live, line, asked.timeout, update=False)
    except (Unfinished, BadWaitFor) as error:
        found, problems = left_of(error, live)
        text = (
            f'resource "{asked.urn}" was successfully created, but the Kubernetes API server '
            f"reported that it failed to fully initialize or become live: {error}"
        )
        raise Partial(text, identifier(found), state(found), problems) from error
    return identifier(live), state(live)


def _no_obstacle(error: StatusError) -> bool:
    """Whether a refused dry run says nothing about the real create: it may be possible by then, or be a replacement."""
    return error.forbidden or error.missing_namespace or error.no_dry_run or error.exists


def _refused(asked: Asked, inputs: Object, error: StatusError | NoMatch) -> Failed:
    if isinstance(error, NoMatch):
        return Failed(
            f'creation of resource "{asked.urn}" with kind {kind_key(inputs)} failed because the Kubernetes API server '
            "reported that the apiVersion for this resource does not exist. "
            f"Verify that any required CRDs have been created: {error}"
        )
    text = f"{error}{_EXISTS_HELP if error.exists else ''}"
    return Failed(f'resource "{asked.urn}" was not successfully created by the Kubernetes API server: {text}')


def _created(cluster: Cluster, asked: Asked, inputs: Object, manager: str, line: StatusLine) -> Object:
    """Posts the object; what is not there yet (the namespace, the kind) may come while others are made."""
    for attempt in range(_RETRIES + 1):
        try:
            return _post(cluster, asked, inputs, manager)
        except (StatusError, NoMatch) as error:
            missing = isinstance(error, NoMatch) or error.missing
            if isinstance(error, StatusError) and asked.preview and error.missing_namespace:
                raise
            line.show("info", f"Retry #{attempt}; creation failed: {error}")
            if not missing or attempt == _RETRIES or cluster.canceller.cancelled:
                raise
            cluster.canceller.wait(2**attempt * 0.5)
    raise AssertionError("the last attempt returns or raises")


def _post(cluster: Cluster, asked: Asked, inputs: Object, manager: str) -> Object:
    client = cluster.client
    if cluster.settings.upsert and cluster.settings.server_side_apply:
        forced = force(inputs, None, always=cluster.settings.patch_force, preview=asked.preview)
        query = {"fieldManager": manager, "force": str(forced).lower(), **asked.dry_run()}
        try:
            return client.request("PATCH", client.path_of(inputs), inputs, content=APPLY, **query)
        except StatusError as error:
            raise explained(error, manager) from error
    path = client.path_of(inputs, collection=True)
    return client.request("POST", path, inputs, fieldManager=_CREATED_BY, **asked.dry_run())
