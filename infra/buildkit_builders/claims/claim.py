"""What a team claims in `claims/<team>.yaml`: one builder a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from buildkit_builders.claims import kinds
from buildkit_builders.claims.platform import Scaling
from buildkit_builders.claims.platform_file import SCALING
from buildkit_builders.claims.shapes import Key, ListOf, Record
from buildkit_builders.options.quantity import Quantity

__all__ = ["CLAIM", "Claim", "Given"]


@dataclass(frozen=True)
class Given:
    """A claim as its file has it: what was left out is empty."""

    name: str
    owner: str
    contact: str = ""
    cluster: str = ""
    architectures: tuple[str, ...] = ()
    size: str = ""
    cache: Quantity | None = None
    scaling: Scaling = field(default_factory=Scaling)
    clients: tuple[str, ...] = ()
    service_account: str = ""
    privileged: bool | None = None
    expires: date | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A builder that a team asks for, with the platform's defaults filled in."""

    team: str
    """The name of its file."""
    name: str
    file: str
    line: int
    owner: str
    contact: str
    """Where the team is asked, such as a channel; empty for none."""
    cluster: str
    """A name of the platform's clusters."""
    architectures: tuple[str, ...]
    """As in platforms: `amd64`, `arm/v7`."""
    size: str
    """A name of the platform's size classes."""
    cache: Quantity | None
    """The cache of each pod; None for BuildKit's own bound."""
    least: int
    """The fewest pods on each architecture, while it is not at rest: at least 1."""
    most: int
    """The most pods on each architecture."""
    to_zero_after: int | None
    """Seconds without a build after which it goes to no pods; None for never."""
    clients: tuple[str, ...]
    """Who may build, beside its own ServiceAccount: `user:NAME`, `group:NAME`, `namespace/name`, or a ServiceAccount
    of the builder's own namespace."""
    service_account: str
    """The ServiceAccount that is made for it."""
    privileged: bool
    expires: date | None
    labels: Mapping[str, str]
    """With the platform's."""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """The line of each key, by its place: `scaling.max`."""

    @property
    def id(self) -> str:
        """`team/name`, as messages have it."""
        return f"{self.team}/{self.name}"

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return f"{self.team}-{self.name}"

    @property
    def is_scaled(self) -> bool:
        """Whether an autoscaler sets the number of pods."""
        return self.most > self.least

    def expired(self, today: date) -> bool:
        """Whether its last day is over: it then has no pods."""
        return self.expires is not None and self.expires < today

    def expires_within(self, days: int, today: date) -> bool:
        """Whether it has not expired, and will in so many days."""
        return self.expires is not None and today <= self.expires <= today + timedelta(days=days)


CLAIM = Record(
    Given,
    (
        Key("name", kinds.NAMES, "The builder's name, once in the team.", required=True, example="main"),
        Key("owner", kinds.TEXT, "Who answers for it.", required=True, example="ada@example.com"),
        Key("contact", kinds.TEXT, "Where the team is asked.", example='"#payments"'),
        Key("cluster", kinds.NAMES, "A cluster of the platform's.", default="the platform's"),
        Key(
            "architectures",
            ListOf(kinds.ARCHITECTURE, "architectures, such as [amd64, arm64]"),
            "What is built natively: a node of each.",
            default="the platform's",
            example="[amd64, arm64]",
        ),
        Key("size", kinds.NAMES, "A size class of the platform's.", default="the platform's", example="medium"),
        Key("cache", kinds.BYTES, "How much cache each pod keeps.", default="the size class's", example="40Gi"),
        Key("scaling", SCALING, "How many pods the builder has on each architecture.", default="the platform's"),
        Key(
            "clients",
            ListOf(kinds.CLIENT, "clients: user:NAME, group:NAME, a ServiceAccount's name or namespace/name"),
            "Who may build, beside the builder's own ServiceAccount: user:NAME, group:NAME, namespace/name, or the "
            "name of a ServiceAccount in the builder's namespace.",
            default="nobody",
            example="[group:payments]",
        ),
        Key(
            "service-account",
            kinds.NAMES,
            "The ServiceAccount that is made for CI jobs, in the builder's namespace.",
            default="`<name>-client`",
            example="ci",
        ),
        Key("privileged", kinds.FLAG, "Whether BuildKit runs privileged.", default="the platform's"),
        Key("expires", kinds.DAY, "The last day of the builder.", default="never", example="2027-06-30"),
        Key("labels", kinds.LABELS, "Labels of the builder's workloads and pods.", example="{cost-center: 4711}"),
    ),
    "One builder that a team asks for.",
)
