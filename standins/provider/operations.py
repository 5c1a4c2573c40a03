"""Create, read, update, delete of one object. The texts of errors are the real provider's, as users know them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standins.provider.apply import force, merge_patch, taken_over, with_ignored
from standins.provider.await_.table import seconds_to_wait, waits_for_deletion
from standins.provider.await_.waitfor import BadWaitFor
from standins.provider.checkpoint import (
    annotate_secrets,
    checkpoint,
    initial_api_version,
    live_status_removed,
    manifest,
    normalized,
    parse,
)
from standins.provider.cluster import Cluster
from standins.provider.diff import prune
from standins.provider.engine_log import StatusLine
from standins.provider.errors import Cancelled, NoMatch, Partial, StatusError, Unfinished
from standins.provider.names import field_manager
from standins.provider.objects import Object, annotations_of, dig, identifier, namespace_of, parse_identifier
from standins.provider.ready import await_deletion, await_ready, check_ready
from standins.provider.values import has_unknown

__all__ = ["Asked", "Failed", "create", "delete", "read", "update"]

_CREATED_BY = "pulumi-kubernetes"
"""Creates go under this name; the first update hands their fields to the object's own manager."""

_RETRIES = 5
_APPLY = "application/apply-patch+yaml"

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

_CONFLICT_HELP = (
    "server-side apply field conflict detected, see https://www.pulumi.com/registry/packages/kubernetes/"
    "how-to-guides/managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources "
    "for troubleshooting help"
)


class Failed(Exception):
    """The operation failed, and the object is as it was (or not there)."""


@dataclass(frozen=True)
class Asked:
    """What every operation is told."""

    urn: str
    timeout: float = 0.0
    """Seconds; 0: the default."""
    preview: bool = False

    def dry_run(self) -> dict[str, str]:
        """The query parameter of a preview."""
        return {"dryRun": "All"} if self.preview else {}


# Create


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
    except StatusError as error:
        if asked.preview and (error.forbidden or error.missing_namespace or error.no_dry_run or error.exists):
            return "", properties
        text = f"{error}{_EXISTS_HELP if error.exists else ''}"
        raise Failed(
            f'resource "{asked.urn}" was not successfully created by the Kubernetes API server: {text}'
        ) from error
    except NoMatch as error:
        raise Failed(
            f'creation of resource "{asked.urn}" with kind {inputs.get("apiVersion")}/{inputs.get("kind")} failed '
            "because the Kubernetes API server reported that the apiVersion for this resource does not exist. "
            f"Verify that any required CRDs have been created: {error}"
        ) from error

    def state(found: Object) -> dict[str, Any]:
        return checkpoint(inputs, found, properties, inputs.get("apiVersion", ""), manager)

    if asked.preview:
        return "", state(live_status_removed(live))
    line.clear()
    try:
        live = await_ready(cluster, inputs, live, line, asked.timeout, update=False)
    except (Unfinished, BadWaitFor) as error:
        found, problems = _left_of(error, live)
        text = (
            f'resource "{asked.urn}" was successfully created, but the Kubernetes API server '
            f"reported that it failed to fully initialize or become live: {error}"
        )
        raise Partial(text, identifier(found), state(found), problems) from error
    return identifier(live), state(live)


def _left_of(error: Exception, live: Object) -> tuple[Object, Sequence[str]]:
    return (error.live, error.problems) if isinstance(error, Unfinished) else (live, [])


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
            time.sleep(2**attempt * 0.5)
    raise AssertionError("the last attempt returns or raises")


def _post(cluster: Cluster, asked: Asked, inputs: Object, manager: str) -> Object:
    client = cluster.client
    if cluster.settings.upsert and cluster.settings.server_side_apply:
        forced = force(inputs, None, always=cluster.settings.patch_force, preview=asked.preview)
        query = {"fieldManager": manager, "force": str(forced).lower(), **asked.dry_run()}
        try:
            return client.request("PATCH", client.path_of(inputs), inputs, content=_APPLY, **query)
        except StatusError as error:
            raise _explained(error, manager) from error
    path = client.path_of(inputs, collection=True)
    return client.request("POST", path, inputs, fieldManager=_CREATED_BY, **asked.dry_run())


def _explained(error: StatusError, manager: str) -> StatusError:
    if not error.conflict:
        return error
    text = f'{_CONFLICT_HELP}\nThe resource managed by field manager "{manager}" had an apply conflict: {error}'
    return StatusError(error.code, text, error.reason, error.details)


# Update


def update(
    cluster: Cluster, asked: Asked, state: dict[str, Any], news: dict[str, Any], ignore: Sequence[str]
) -> dict[str, Any]:
    """Applies new inputs to an object and waits for it: its state. Raises Failed or Partial."""
    inputs = normalized(manifest(news))
    if asked.preview and (has_unknown(inputs) or not cluster.knows(inputs)):
        return news
    _ = cluster.client
    old_inputs, old_live = parse(state)
    kept = manifest(state)
    manager = field_manager(kept, inputs, server_side=cluster.settings.server_side_apply)
    api_version = initial_api_version(state, old_inputs)
    line = StatusLine(cluster.log, asked.urn)

    def found_state(found: Object) -> dict[str, Any]:
        return checkpoint(inputs, found, news, api_version, manager)

    try:
        live = _updated(cluster, asked, inputs, old_inputs, old_live, manager, ignore)
        if not asked.preview:
            live = await_ready(cluster, inputs, live, line, asked.timeout, update=True)
        return found_state(live)
    except NoMatch as error:
        raise Failed(
            f'update of resource "{asked.urn}" failed because the Kubernetes API server reported that the apiVersion '
            f"for this resource does not exist. Verify that any required CRDs have been created: {error}"
        ) from error
    except (StatusError, Unfinished, BadWaitFor) as error:
        if asked.preview and isinstance(error, StatusError) and error.forbidden:
            return news
        found = _reread(cluster, asked, old_live, error)
        text = (
            f'the Kubernetes API server reported that "{identifier(found)}" '
            f"failed to fully initialize or become live: {error}"
        )
        raise Partial(text, identifier(found), found_state(found), _left_of(error, found)[1]) from error


def _reread(cluster: Cluster, asked: Asked, live: Object, error: Exception) -> Object:
    try:
        return cluster.client.get(live)
    except StatusError as second:
        raise Failed(
            f'update of resource "{asked.urn}" failed: {error}\nunable to get cluster state: {second}'
        ) from error


def _updated(
    cluster: Cluster,
    asked: Asked,
    inputs: Object,
    old_inputs: Object,
    old_live: Object,
    manager: str,
    ignore: Sequence[str],
) -> Object:
    client = cluster.client
    live = client.get(old_live)
    path = client.path_of(live)
    if inputs.get("kind") == "CustomResourceDefinition":
        # Replaced in place: a definition is one value, and the objects of its kind stay.
        body = {**inputs, "metadata": {**inputs["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}
        return client.request("PUT", path, body, fieldManager=manager, **asked.dry_run())
    if not cluster.settings.server_side_apply:
        patch = merge_patch(prune(old_live, normalized(old_inputs)), inputs)
        content = "application/merge-patch+json"
        return client.request("PATCH", path, patch, content=content, fieldManager=manager, **asked.dry_run())
    if not asked.preview:
        live = _take_over(cluster, live, manager)
    body = with_ignored(inputs, live, manager, ignore)
    forced = force(inputs, live, always=cluster.settings.patch_force, preview=asked.preview)
    query = {"fieldManager": manager, "force": str(forced).lower(), **asked.dry_run()}
    try:
        return client.request("PATCH", path, body, content=_APPLY, **query)
    except StatusError as error:
        raise _explained(error, manager) from error


def _take_over(cluster: Cluster, live: Object, manager: str) -> Object:
    entries = taken_over(live, manager)
    if entries is None:
        return live
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]
    client = cluster.client
    return client.request("PATCH", client.path_of(live), patch, content="application/json-patch+json")


# Read


def read(
    cluster: Cluster, asked: Asked, wanted: str, kind: tuple[str, str], state: dict[str, Any], inputs: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """Id, state and inputs of an object as it is now; None if it is gone. `kind`: apiVersion and kind, for an import,
    which has neither state nor inputs. Raises Partial for one that is there but not ready."""
    old_inputs, (_, old_live) = normalized(manifest(inputs)), parse(state)
    imported = not old_inputs.get("kind") and not old_live.get("kind")
    api_version, name = old_inputs.get("apiVersion") or old_live.get("apiVersion") or kind[0], old_inputs.get("kind")
    namespace, own_name = parse_identifier(wanted)
    target = {
        "apiVersion": api_version,
        "kind": name or old_live.get("kind") or kind[1],
        "metadata": {"name": own_name, "namespace": namespace or namespace_of(old_inputs)},
    }
    try:
        live = cluster.client.get(target)
    except NoMatch:
        return None
    except StatusError as error:
        if error.missing:
            return None
        raise Failed(str(error)) from error
    found_inputs = _imported_inputs(live) if imported else prune(live, old_inputs)
    manager = field_manager(manifest(state), old_inputs, server_side=cluster.settings.server_side_apply)
    found = checkpoint(found_inputs, live, inputs, initial_api_version(state, target), manager)
    problem = None if imported else _unready(cluster, asked, old_inputs, live)
    annotate_secrets(found_inputs, inputs)
    if problem is not None:
        raise Partial(str(problem), wanted, found, problem.problems, found_inputs)
    return wanted, found, found_inputs


def _unready(cluster: Cluster, asked: Asked, inputs: Object, live: Object) -> Unfinished | None:
    try:
        check_ready(cluster, inputs, live, StatusLine(cluster.log, asked.urn))
    except Unfinished as problem:
        return problem
    return None


def _imported_inputs(live: Object) -> Object:
    """What a program would have written for an object made by others."""
    found = normalized({key: value for key, value in live.items() if key != "status"})
    for key in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"):
        dig(found, "metadata", "annotations", default={}).pop(key, None)
    if not dig(found, "metadata", "annotations", default=True):
        del found["metadata"]["annotations"]
    return found


# Delete


def delete(cluster: Cluster, asked: Asked, state: dict[str, Any]) -> None:
    """Deletes an object and waits until it is gone; one that is gone already is no error. Raises Failed or Partial."""
    inputs, live = parse(state)
    client, line = cluster.client, StatusLine(cluster.log, asked.urn)
    policies = {"orphan": "Orphan", "background": "Background"}
    asked_policy = annotations_of(inputs).get("pulumi.com/deletionPropagationPolicy", "").lower()
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": policies.get(asked_policy, "Foreground"),
    }
    try:
        client.request("DELETE", client.path_of(live), options)
        if waits_for_deletion(inputs):
            await_deletion(cluster, live, line, seconds_to_wait(asked.timeout, inputs))
    except NoMatch:
        return
    except StatusError as error:
        if not error.missing:
            raise Failed(str(error)) from error
    except Cancelled as error:
        raise Failed(str(error)) from error
    except Unfinished as error:
        manager = field_manager(manifest(state), inputs)
        kept = checkpoint(inputs, error.live, state, initial_api_version(state, inputs), manager)
        raise Partial(str(error), identifier(error.live), kept, error.problems) from error
    line.clear()
