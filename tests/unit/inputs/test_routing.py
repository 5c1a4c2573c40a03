"""The key by which builds of one checkout find the same pod."""

from __future__ import annotations

from buildclient.contract.platform import parse_platform
from buildclient.inputs.routing import Checkout, routing_key

AMD, ARM, ARM7, S390 = map(parse_platform, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"))


def test_a_key_is_the_same_in_every_checkout() -> None:
    """Remote and path in the repository count, the folder on disk does not."""
    checkout = Checkout("https://github.com/a/b", "app")
    keys = {routing_key(folder, checkout, "", "", [AMD]) for folder in ("/ci/1/app", "/home/me/app")}
    assert len(keys) == 1
    other = routing_key("/ci/1/app", Checkout("https://github.com/a/b", "web"), "", "", [AMD])
    assert other not in keys


def test_without_a_repository_the_folder_s_name_counts() -> None:
    """And Dockerfile, target and platforms count with and without."""
    first = routing_key("/a/app", None, "", "", [])
    assert first == routing_key("/b/app/", None, "Dockerfile", "", [])
    others = {
        routing_key("/a/web", None, "", "", []),
        routing_key("/a/app", None, "Other", "", []),
        routing_key("/a/app", None, "", "final", []),
        routing_key("/a/app", None, "", "", [AMD]),
    }
    assert len({first, *others}) == 5
