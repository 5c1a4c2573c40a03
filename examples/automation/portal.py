"""The back end of a portal: a function that takes a claim, and returns when the builder is ready to build on.

    from portal import Portal

    portal = Portal("platform.yaml", "claims")
    builder = portal.claim("payments", {"name": "main", "owner": "ada@example.com"}, told=print)
    Builder.from_output(builder).build(request)

The claim is checked against the platform's rules together with all others, so that limits hold; a refused one leaves
its team's file as it was. A web framework calls `claim` in a thread of its own, and shows what `told` gets to its user.
As a command it claims one builder and prints its place:

    python examples/automation/portal.py --team payments --name main --owner ada@example.com
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from buildkit_builders.automation import Ended, StackError, StepEnded, Told
from buildkit_builders.claims import read_claims
from buildkit_builders.fleet import Fleet, Only
from buildkit_builders.fleet.namespaces import make_missing

from buildclient import BuilderOutput

_TEAM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""It becomes a file's name, and part of a namespace's."""


class RefusedError(Exception):
    """The claim is not allowed: the message has a problem a line, each with what would be."""


class Portal:
    """Claims builders for teams, one at a time."""

    def __init__(self, platform_file: str | Path, claims_folder: str | Path) -> None:
        """`platform_file` is what the platform team allows, `claims_folder` holds a file a team."""
        self.platform, self.folder = Path(platform_file), Path(claims_folder)
        self._files = threading.Lock()

    def claim(
        self, team: str, claim: Mapping[str, Any], *, told: Callable[[str], object] = lambda line: None
    ) -> BuilderOutput:
        """Make a team's builder, or change it, and return it once its pods are ready; `told` gets lines of progress.

        Raises RefusedError for what is not allowed, StackError if it cannot be made; the claim is kept then, so that
        the next apply tries again.
        """
        name = str(claim.get("name", ""))
        if not _TEAM.fullmatch(team):
            raise RefusedError(f"{team!r} is no name of a team: give letters a-z, digits and '-'")
        with self._files:
            self._keep(team, claim)
            claims = read_claims(self.platform, self.folder)
        with Fleet(claims, only=Only(team, name)) as fleet:
            (stack,) = fleet.resolved
            for line in make_missing(fleet.namespaces()):
                told(line)
            run = fleet.apply()
            with run:
                for event in run:
                    match event:
                        case StepEnded(_, step):
                            told(f"{step.operation} {step.name}")
                        case Told(_, "warning", _, text):
                            told(text)
                        case Ended(_, outcome):
                            told("ready" if outcome.result else "failed")
        outcome = run.outcomes[stack]
        if outcome.result is None:
            raise outcome.error or StackError(f"{team}/{name}: cancelled")
        return outcome.result.builder

    def _keep(self, team: str, claim: Mapping[str, Any]) -> None:
        """Write the claim into its team's file, if it is allowed there. Raises RefusedError."""
        file = self.folder / f"{team}.yaml"
        before = file.read_text() if file.is_file() else None
        others = [one for one in _claims(before) if one.get("name") != claim.get("name")]
        _write(file, yaml.safe_dump([*others, dict(claim)], sort_keys=False))
        wanted = {"", team, f"{team}/{claim.get('name')}"}
        problems = [one for one in read_claims(self.platform, self.folder).errors if one.claim in wanted]
        if problems:
            if before is None:
                file.unlink()
            else:
                _write(file, before)
            raise RefusedError("\n".join(one.text for one in problems))


def _claims(text: str | None) -> list[dict[str, Any]]:
    """The claims of a file: a list, a mapping, or several documents."""
    found: list[dict[str, Any]] = []
    for document in yaml.safe_load_all(text or ""):
        found += document if isinstance(document, list) else [document] if document else []
    return found


def _write(file: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".claim-", delete=False) as beside:
        beside.write(text)
    os.replace(beside.name, file)


def main() -> int:
    """Claim one builder."""
    flags = argparse.ArgumentParser(description="Claim a builder, and wait until it is ready.")
    flags.add_argument("--platform", default="platform.yaml")
    flags.add_argument("--claims", default="claims")
    flags.add_argument("--team", required=True)
    flags.add_argument("--name", required=True)
    flags.add_argument("--owner", required=True)
    flags.add_argument("--size", help="a size class of the platform's (default: the platform's)")
    given = flags.parse_args()
    claim = {"name": given.name, "owner": given.owner, **({"size": given.size} if given.size else {})}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        builder = Portal(given.platform, given.claims).claim(given.team, claim, told=say)
    except (RefusedError, StackError) as error:
        say(f"ERROR: {error}")
        return 1
    print(f"{builder.namespace}/{builder.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
