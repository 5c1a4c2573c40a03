"""Deleting an object, and waiting until it is gone."""

from __future__ import annotations

from typing import Any

from standins.provider.asked import Asked, Failed
from standins.provider.await_.table import seconds_to_wait, waits_for_deletion
from standins.provider.checkpoint import checkpoint, initial_api_version, manifest, parse
from standins.provider.cluster import Cluster
from standins.provider.engine_log import StatusLine
from standins.provider.errors import Cancelled, NoMatch, Partial, StatusError, Unfinished
from standins.provider.names import field_manager
from standins.provider.objects import annotations_of, identifier
from standins.provider.ready import await_deletion

__all__ = ["delete"]


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
