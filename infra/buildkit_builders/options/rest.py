"""The options of a node that goes to no pods when nothing is built, and is started again by a build."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_builders.options import values
from buildkit_builders.options.autoscale import KEDA
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow

__all__ = ["REST", "REST_AFTER", "REST_IMAGE", "REST_ROWS", "RestOptions", "check_rest"]

REST = "scale-to-zero."
REST_AFTER, REST_IMAGE, _SCHEDULE = (REST + name for name in ("after", "image", "schedule"))
_EXAMPLES = {REST_AFTER: "30m", REST_IMAGE: "registry.example/buildclient:1"}
_FIELD = r"[0-9A-Za-z*/,?-]{1,100}"
_CRON = re.compile(rf"(?:{_FIELD}(?: {_FIELD}){{4}}|@(?:hourly|daily|midnight|weekly|monthly|yearly|annually))\Z")


@dataclass(frozen=True)
class RestOptions:
    """The values of these options."""

    scale_to_zero_after: int | None
    """Seconds without a build; None for never."""
    scale_to_zero_image: str
    scale_to_zero_schedule: str

    @property
    def rests(self) -> bool:
        """Whether the node goes to no pods when nothing is built."""
        return self.scale_to_zero_after is not None


def _schedule(raw: object) -> str:
    allowed = 'give five fields of cron, such as "*/10 * * * *", or @hourly'
    text = " ".join(values.text_of(raw, allowed).split())
    if not _CRON.match(text):
        raise InvalidValue(allowed)
    return text


REST_ROWS = (
    OptionRow(
        REST_AFTER,
        Kind("duration", "string", values.whole_seconds),
        None,
        default_text="never",
        example=_EXAMPLES[REST_AFTER],
        about="Scales the node to no pods when nothing has been built for this long; the next build starts it again "
        "([scaling.md](scaling.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        REST_IMAGE,
        Kind("image reference", "string", values.image),
        "",
        example=_EXAMPLES[REST_IMAGE],
        about="The image of this project's client, which looks for builds and scales: `make image` builds it.",
        empty_is_unset=True,
    ),
    OptionRow(
        _SCHEDULE,
        Kind("cron schedule", "string", _schedule),
        "*/5 * * * *",
        default_text="`*/5 * * * *`",
        example="*/10 * * * *",
        about="When it looks.",
        empty_is_unset=True,
    ),
)


def check_rest(given: Mapping[str, Any], problems: Problems) -> None:
    """Check these options against each other and the rest; what does not go together is added to `problems`."""
    if given.get(REST_AFTER) is None:
        for name in given:
            if name.startswith(REST):
                problems.at(name).add(None, f"it needs {REST_AFTER}, such as {_EXAMPLES[REST_AFTER]}")
        return
    if not given.get(REST_IMAGE):
        allowed = f"give the image of the client that looks for builds, such as {_EXAMPLES[REST_IMAGE]}"
        problems.at(REST_IMAGE).add(None, allowed, "make image builds it")
    if given.get(KEDA):
        problems.at(REST_AFTER).add(None, "KEDA would start the pods again; give autoscale.min-replicas=0 instead")
    if given.get("replicas") == 0:
        problems.at("replicas").add(0, f"with {REST_AFTER} it is how many pods a build starts: give at least 1")
