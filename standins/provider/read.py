"""Reading an object as it is now: for refresh and import."""

from __future__ import annotations

from typing import Any

from standins.provider.asked import Asked, Failed
from standins.provider.checkpoint import (
    annotate_secrets,
    checkpoint,
    initial_api_version,
    manifest,
    normalized,
    parse,
)
from standins.provider.cluster import Cluster
from standins.provider.diff import prune
from standins.provider.engine_log import StatusLine
from standins.provider.errors import NoMatch, Partial, StatusError, Unfinished
from standins.provider.names import field_manager
from standins.provider.objects import Object, dig, namespace_of, parse_identifier
from standins.provider.ready import check_ready

__all__ = ["read"]


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
