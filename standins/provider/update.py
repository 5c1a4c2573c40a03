"""Updating an object in place, by server-side apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from standins.provider.apply import force, merge_patch, taken_over, with_ignored
from standins.provider.asked import APPLY, Asked, Failed, explained, left_of
from standins.provider.await_.waitfor import BadWaitFor
from standins.provider.checkpoint import checkpoint, initial_api_version, manifest, normalized, parse
from standins.provider.cluster import Cluster
from standins.provider.diff import prune
from standins.provider.engine_log import StatusLine
from standins.provider.errors import NoMatch, Partial, StatusError, Unfinished
from standins.provider.names import field_manager
from standins.provider.objects import Object, identifier
from standins.provider.ready import await_ready
from standins.provider.values import has_unknown

__all__ = ["take_over", "update"]

_TAKE_OVERS = 5
"""How often to try: a controller that writes its status meanwhile makes the version read before a past one."""


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
        raise Partial(text, identifier(found), found_state(found), left_of(error, found)[1]) from error


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
        live = take_over(cluster, live, manager)
    body = with_ignored(inputs, live, manager, ignore)
    forced = force(inputs, live, always=cluster.settings.patch_force, preview=asked.preview)
    query = {"fieldManager": manager, "force": str(forced).lower(), **asked.dry_run()}
    try:
        return client.request("PATCH", path, body, content=APPLY, **query)
    except StatusError as error:
        raise explained(error, manager) from error


def take_over(cluster: Cluster, live: Object, manager: str) -> Object:
    """The live object after what passes to our manager has passed (see apply.py)."""
    client = cluster.client
    for attempt in range(1, _TAKE_OVERS + 1):
        entries = taken_over(live, manager)
        if entries is None:
            return live
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]
        try:
            return client.request("PATCH", client.path_of(live), patch, content="application/json-patch+json")
        except StatusError as error:
            if not error.conflict or attempt == _TAKE_OVERS:
                raise
        live = client.get(live)
    raise AssertionError("the last attempt returns or raises")
