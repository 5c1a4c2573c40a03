"""The table of options, and the families of options that it can hold."""

from __future__ import annotations

from typing import Any

import pytest
from buildkit_builders.options.check import read_values
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.table import SELECTOR_KIND, TABLE, WORD_KIND, OptionRow, OptionTable
from buildkit_builders.options.text import as_text, read_text


def _no_equals(key: str) -> None:
    if not key.isidentifier():
        raise InvalidValue("give the name of a variable", given=key)


ENV = OptionRow(
    "env.", WORD_KIND, {"LANG": "C"}, example="HTTP_PROXY=http://proxy:3128", about="…", check_key=_no_equals
)
CLAIMS = OptionRow("persistent-volume-claim.", WORD_KIND, {}, example="size=1Gi", about="…")
ANNOTATED = OptionRow("persistent-volume-claim.annotations.", SELECTOR_KIND, {}, example="a=b=c", about="…")
WITH_FAMILIES = OptionTable([*(row for row in TABLE.rows if not row.is_family), ENV, CLAIMS, ANNOTATED])


def _read(text: str) -> tuple[dict[str, Any], list[str]]:
    problems = Problems(whole="driver-opts")
    values = read_values(read_text(text, problems, WITH_FAMILIES), problems, WITH_FAMILIES)
    return values, [str(problem) for problem in problems.found]


def test_a_family_holds_a_mapping_of_its_values() -> None:
    """Options with a family's prefix are read one by one and kept together, over the family's defaults."""
    values, problems = _read("env.HTTP_PROXY=http://p:1,replicas=2,env.A=b,persistent-volume-claim.size=1Gi")
    assert not problems
    fields = WITH_FAMILIES.fields(values)
    assert fields["env"] == {"LANG": "C", "HTTP_PROXY": "http://p:1", "A": "b"}
    assert fields["persistent_volume_claim"] == {"size": "1Gi"}
    assert (fields["replicas"], fields["rootless"]) == (2, False)


def test_a_nodes_options_override_a_familys_one_by_one() -> None:
    """Values go by whole names, so that a node's `env.A` leaves the builder's `env.B`."""
    base, _ = _read("env.A=1,env.B=2")
    node, _ = _read("env.A=3")
    assert WITH_FAMILIES.fields({**base, **node})["env"] == {"LANG": "C", "A": "3", "B": "2"}


def test_the_longest_family_has_the_option() -> None:
    """A family within a family takes its own names, of its own kind."""
    values, problems = _read("persistent-volume-claim.annotations.x=a=b")
    fields = WITH_FAMILIES.fields(values)
    assert (problems, fields["persistent_volume_claim"]) == ([], {})
    assert fields["persistent_volume_claim_annotations"] == {"x": {"a": "b"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env.=x", 'driver-opts: there is no option "env."'),
        ("env.a-b=x", 'env.a-b: "a-b" is refused: give the name of a variable'),
        ("env.A=x y", 'env.A: "x y" is refused: give a name without spaces'),
        ("envv.A=x", 'driver-opts: there is no option "envv.A"'),
    ],
)
def test_what_is_wrong_with_a_familys_option_is_told(text: str, said: str) -> None:
    """Key and value are checked, under the option's whole name."""
    _, problems = _read(text)
    assert len(problems) == 1
    assert problems[0].startswith(said)


def test_a_familys_example_can_be_written_and_read() -> None:
    """The documentation's example of a family has a key and a value."""
    assert ENV.sample == {"env.HTTP_PROXY": "http://proxy:3128"}
    assert _read(as_text(ENV.sample)) == (ENV.sample, [])
    assert WITH_FAMILIES.names[-3:] == ("env.*", "persistent-volume-claim.*", "persistent-volume-claim.annotations.*")


def test_variables_and_registries_are_families() -> None:
    """`env.NAME` is an option for every name, and `env` alone is none in text."""
    assert [row.name for row in TABLE.rows if row.is_family] == ["env.", "buildkitd.registry."]
    assert TABLE.row("env.A") is not None
    assert TABLE.row("env") is None


def test_a_family_may_be_given_as_a_mapping() -> None:
    """`env: {A: b}` is `env.A=b`; a wrong key is told under its whole name."""
    problems = Problems(whole="driver-opts")
    values = read_values({"env": {"A": "b", "1": "c"}, "env.B": True}, problems)
    assert values == {"env.A": "b", "env.B": "true"}
    assert [str(one)[:25] for one in problems.found] == ['env.1: "1" is refused: gi']
