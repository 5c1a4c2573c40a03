"""The queue of a node's builds, as Leases in its namespace."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.base.threads import in_thread
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.lease import LABEL, Ticket, new_lease, read_lease, renewal
from buildclient.kube.pod import Owner, table, tables

__all__ = ["LeaseQueue"]

_NOT_FOUND = 404
_LONGEST_PREFIX = 50
"""Characters of the workload's name in that of a Lease: both are shown in tables."""


class LeaseQueue:
    """The tickets of one node. It takes the rights to list, watch, create, patch and delete Leases."""

    def __init__(self, api: KubeApi, namespace: str, workload: str) -> None:
        self._api = api
        self._workload = workload
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._what = f"cannot wait in the queue of {workload} in namespace {namespace}"
        self._version = ""

    async def tickets(self) -> Sequence[Ticket]:
        """All tickets, those of dead clients among them. Raises UnreachableError."""
        query = {"labelSelector": f"{LABEL}={self._workload}"}
        answer = await in_thread(lambda: self._api.read(self._path, query, self._what))
        self._version = str(table(answer.get("metadata")).get("resourceVersion") or "")
        return [ticket for one in tables(answer.get("items")) if (ticket := read_lease(one))]

    async def changed(self, seconds: float) -> None:
        """Returns once a ticket has been taken, given back or renewed since `tickets`, or after `seconds`.

        Raises UnreachableError.
        """
        query = {"labelSelector": f"{LABEL}={self._workload}", "resourceVersion": self._version}
        begun = asyncio.get_running_loop().time()
        try:
            while (left := begun + seconds - asyncio.get_running_loop().time()) > 0:
                if await self._api.watch(self._path, query, self._what, left, _moves):
                    return
        except ApiError as error:
            if error.status != 410:
                raise

    async def take(self, owner: Owner | None = None) -> Ticket:
        """Takes a ticket, which the cluster takes away with its owner. Raises UnreachableError."""
        name = f"{self._workload[:_LONGEST_PREFIX].rstrip('-.')}-{secrets.token_hex(5)}"
        lease = new_lease(name, self._workload, _holder(), owner, time.time())
        made = read_lease(await in_thread(lambda: self._api.create(self._path, {}, lease, self._what)))
        if made is None:
            raise UnreachableError(f"{self._what}: the cluster gave the Lease no resourceVersion")
        return made

    async def renew(self, ticket: Ticket) -> bool:
        """Returns whether the ticket was still there, and is renewed. Raises UnreachableError."""
        patch = renewal(ticket, time.time())
        try:
            await in_thread(lambda: self._api.patch(f"{self._path}/{ticket.name}", patch, self._what))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True

    async def give_back(self, ticket: Ticket, *, only_unchanged: bool = False) -> None:
        """Takes a ticket out of the queue; one that is gone is none the less out of it. Raises UnreachableError.

        With `only_unchanged` it stays if it was renewed since it was read.
        """
        options = {"preconditions": {"resourceVersion": ticket.version}} if only_unchanged else None
        try:
            await in_thread(lambda: self._api.delete(f"{self._path}/{ticket.name}", {}, self._what, options))
        except ApiError as error:
            if error.status not in (_NOT_FOUND, 409):
                raise


def _moves(event: Mapping[str, Any]) -> bool:
    """Whether the queue has another length now; a renewal moves nobody."""
    return event.get("type") in ("ADDED", "DELETED")


def _holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}, process {os.getpid()}"
