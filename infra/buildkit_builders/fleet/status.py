"""The claims and their builders: what is there, who answers for it, until when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from buildkit_builders.results import StackError

if TYPE_CHECKING:
    from buildkit_builders.fleet.fleet import Fleet

__all__ = ["ClaimStatus", "status_lines", "status_of"]


class ClaimStatus(NamedTuple):
    """A claim's builder, or one whose claim is gone."""

    stack: str
    claim: str
    """`team/name`; empty where it is not known any more."""
    state: str
    """`up`; `missing`, not applied yet; `expired`; `refused`, its claim as it stands; `gone`, without a claim;
    `unknown` if its state cannot be read."""
    owner: str = ""
    contact: str = ""
    expires: str = ""
    builder: Mapping[str, Any] | None = None
    """The builder output, as build clients read it."""
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return self._asdict()


def status_of(fleet: Fleet, today: date | None = None) -> list[ClaimStatus]:
    """The claims that are meant, in the order of the files: the good ones, those refused; then what has no claim."""
    day = today or date.today()
    gone = fleet.gone()
    claimed = (*fleet.resolved, *fleet.refused)
    outputs = fleet.outputs([*(one for one in claimed if one in fleet.made), *gone])
    found = []
    for stack, resolved in fleet.resolved.items():
        claim = resolved.claim
        expires = claim.expires.isoformat() if claim.expires else ""
        state = "missing" if stack not in fleet.made else "expired" if claim.expired(day) else "up"
        builder, error = _builder(outputs.get(stack, {}))
        found.append(
            ClaimStatus(
                stack, claim.id, "unknown" if error else state, claim.owner, claim.contact, expires, builder, error
            )
        )
    for stack in (*fleet.refused, *gone):
        builder, error = _builder(outputs.get(stack, {}))
        facts = _facts(outputs.get(stack, {}))
        state = "refused" if stack in fleet.refused else "gone"
        name = fleet.refused.get(stack) or (f"{facts['team']}/{facts['name']}" if facts.get("team") else "")
        owner, contact, expires = (str(facts.get(key) or "") for key in ("owner", "contact", "expires"))
        found.append(ClaimStatus(stack, name, "unknown" if error else state, owner, contact, expires, builder, error))
    return found


def status_lines(found: Iterable[ClaimStatus]) -> Iterator[str]:
    """A table."""
    rows = [("CLAIM", "STATE", "NAMESPACE", "NODES", "OWNER", "EXPIRES")]
    for one in found:
        nodes = (one.builder or {}).get("nodes") or ()
        rows.append(
            (
                one.claim or one.stack,
                one.state if not one.error else f"error: {one.error}",
                str((one.builder or {}).get("namespace", "")),
                ", ".join(str(node.get("name", "")) for node in nodes),
                " ".join(filter(None, [one.owner, one.contact])),
                one.expires,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _builder(outputs: Mapping[str, Any] | StackError) -> tuple[Mapping[str, Any] | None, str]:
    if isinstance(outputs, StackError):
        return None, str(outputs)
    builder = outputs.get("builder")
    return (builder if isinstance(builder, Mapping) else None), ""


def _facts(outputs: Mapping[str, Any] | StackError) -> Mapping[str, Any]:
    facts = outputs.get("claim") if isinstance(outputs, Mapping) else None
    return facts if isinstance(facts, Mapping) else {}
