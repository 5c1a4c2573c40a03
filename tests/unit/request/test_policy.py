"""`--policy`: parsed as docker buildx does, and which policies a build has."""

from __future__ import annotations

import pytest

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.request.make import build_request
from buildclient.request.policy import Policy, PolicyConfig, combined, parse_policies


def _combined(*texts: str, default: str = "Dockerfile.rego") -> tuple[Policy, ...]:
    return combined(parse_policies(texts), default)


def test_fields() -> None:
    """Every field, in CSV; the last of a name counts, files add up."""
    text = 'filename=a.rego,"filename=cwd://b,c.rego",reset=1,strict=false,log-level=DEBUG'
    assert parse_policies([text]) == (PolicyConfig(("a.rego", "cwd://b,c.rego"), True, False, False, "debug"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.rego", "invalid value a.rego"),
        ("filename=", "invalid value filename="),
        ("file=a", "invalid value file=a"),
        ("", "EOF"),
        ("strict=x", 'invalid value strict=x: strconv.ParseBool: parsing "x": invalid syntax'),
        ("log-level=loud", 'invalid value log-level=loud: not a valid logrus Level: "loud"'),
    ],
)
def test_wrong_fields(text: str, message: str) -> None:
    """The words are docker buildx's."""
    with pytest.raises(UsageError) as error:
        parse_policies([text])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("texts", "policies"),
    [
        ([], [Policy(("Dockerfile.rego",))]),
        (["disabled=true"], []),
        (["disabled=false"], [Policy(("Dockerfile.rego",))]),
        (["reset=true"], []),
        (["reset=true,filename=a"], [Policy(("a",))]),
        (["filename=a,filename=b"], [Policy(("Dockerfile.rego",)), Policy(("a", "b"))]),
        (["strict=true,log-level=info"], [Policy(("Dockerfile.rego",), True, "info")]),
        (["reset=true,strict=true", "filename=a"], [Policy(("a",), True)]),
        (["reset=true,strict=true", "filename=a,strict=false"], [Policy(("a",))]),
        (["filename=a", "strict=true"], [Policy(("Dockerfile.rego",)), Policy(("a",), True)]),
    ],
)
def test_policies_of_a_build(texts: list[str], policies: list[Policy]) -> None:
    """That beside the Dockerfile is one of them, unless it is dropped."""
    assert list(_combined(*texts)) == policies


def test_no_policy_at_all() -> None:
    """Without a file there is nothing to be strict about."""
    assert _combined("strict=true", default="") == ()


@pytest.mark.parametrize("texts", [["disabled=true", "filename=a"], ["disabled=true,strict=false"]])
def test_disabled_stands_alone(texts: list[str]) -> None:
    """Disabled and something else is a contradiction."""
    with pytest.raises(InvalidBuild, match="disabled policy cannot be combined with other policy flags"):
        _combined(*texts)


def test_docker_buildxs_own_policy() -> None:
    """It is refused, not left out; with policies disabled it is not asked for."""
    on = {"BUILDX_DEFAULT_POLICY": "1"}
    with pytest.raises(UsageError, match="BUILDX_DEFAULT_POLICY"):
        build_request(".", environ=on)
    build_request(".", policies=["disabled=true"], environ=on)
    build_request(".", environ={"BUILDX_DEFAULT_POLICY": "0"})
