"""A request from texts: read once, checked in docker buildx's order, refused in a line where a program errs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from buildclient.base.errors import ClientError, UsageError
from buildclient.contract.platform import parse_platform
from buildclient.request.annotations import Annotation
from buildclient.request.checks import check_request
from buildclient.request.limits import HostEntry, Ulimit
from buildclient.request.make import build_request
from buildclient.request.solve import CacheEntry
from buildclient.request.values import BuildRequest, Output

AMD, ARM = (parse_platform(f"linux/{name}") for name in ("amd64", "arm64"))
# In the order in which docker buildx looks at them: the flag, and what is wrong.
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("--ulimit", {"ulimits": ["files=1"]}),
    ("--build-arg", {"build_args": ["=x"]}),
    ("--label", {"labels": ["=x"]}),
    ("--attest", {"attests": ["mode=max"]}),
    ("--build-context", {"build_contexts": ["bare"]}),
    ("--output", {"outputs": ["type=local"]}),
    ("--cache-from", {"cache_from": ["mode=max"]}),
    ("--cache-to", {"cache_to": ["mode=max"]}),
    ("--no-cache-filter", {"no_cache": True, "no_cache_filter": ["a"]}),
    ("--resource", {"resources": ["disk=1"]}),
    ("--platform", {"platforms": ["blah"]}),
    ("--allow", {"allow": ["everything"]}),
    ("--annotation", {"annotations": ["bare"]}),
    ("--tag", {"tags": ["Upper"]}),
    ("--network", {"network": "bridge"}),
    ("--add-host", {"add_hosts": ["bare"]}),
]


def test_texts_become_values_once() -> None:
    """Mappings and values are taken where a program has them, texts everywhere."""
    request = build_request(
        "app",
        tags=["r.example/app:1"],
        platforms=[AMD, "linux/arm64,linux/amd64"],
        outputs=["out", Output("cacheonly")],
        push=True,
        build_args={"A": "b=c"},
        labels=["k=v"],
        annotations=["a=b", "index,manifest[linux/arm64]:c=d"],
        build_contexts={"docker.io/library/base:latest": "docker-image://x"},
        add_hosts=["db:10.0.0.7,api:::1"],
        ulimits=["nofile=1:2"],
        cache_from=["r.example/cache"],
        shm_size="64m",
    )
    assert request.tags == ("r.example/app:1",)
    assert request.platforms == (AMD, ARM)
    assert [output.type for output in request.outputs] == ["local", "cacheonly", "image"]
    assert (request.build_args, request.labels) == ({"A": "b=c"}, {"k": "v"})
    assert request.annotations == (
        Annotation("a", "b"),
        Annotation("c", "d", "index"),
        Annotation("c", "d", "manifest", ARM),
    )
    assert request.build_contexts == {"base": "docker-image://x"}
    assert request.add_hosts == (HostEntry("db", "10.0.0.7"), HostEntry("api", "::1"))
    assert request.ulimits == (Ulimit("nofile", 1, 2),)
    assert request.cache_from == (CacheEntry("registry", {"ref": "r.example/cache"}),)
    assert request.shm_size == 64 << 20
    check_request(request)


def test_the_environment_counts_where_it_is_given() -> None:
    """A program's build is the same wherever it runs, unless it says otherwise."""
    environ = {"SOURCE_DATE_EPOCH": "7", "DOCKER_DEFAULT_PLATFORM": "local", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    assert build_request() == BuildRequest()
    request = build_request(environ=environ, machine="linux/arm64")
    assert (request.source_date_epoch, request.platforms, request.attests) == ("7", (ARM,), {"provenance": None})
    with pytest.raises(UsageError, match="local"):
        build_request(platforms=["local"])


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(WRONG, 2)])
def test_of_two_mistakes_docker_buildx_s_first_is_said(
    first: tuple[str, dict[str, Any]], second: tuple[str, dict[str, Any]]
) -> None:
    """Whatever else is wrong, the message is the one that docker buildx would end with."""
    with pytest.raises(UsageError) as caught:
        build_request(**{**second[1], **first[1]})
    assert caught.value.flag == first[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tags": "a:1"}, "tags of a request must be a list, not 'a:1'"),
        ({"tags": None}, "tags of a request must be a list, not None"),
        ({"ulimits": [1]}, "ulimits of a request must be texts, not 1"),
        ({"platforms": "linux/amd64"}, "platforms of a request must be a list"),
        ({"outputs": [None]}, "outputs of a request must be texts, not None"),
        ({"build_args": {"A": 1}}, "build_args of a request must be texts, not 1"),
        ({"build_args": {"A=B": "c"}}, "build_args of a request: a key"),
        ({"labels": "a=b"}, "labels of a request must be a list"),
    ],
)
def test_texts_of_the_wrong_kinds_are_refused(fields: dict[str, Any], words: str) -> None:
    """In one line that names the argument."""
    with pytest.raises(UsageError, match=words):
        build_request(**fields)


@pytest.mark.parametrize(
    "name", ["tags", "platforms", "outputs", "annotations", "add_hosts", "ulimits", "cache_from", "cache_to", "allow"]
)
@pytest.mark.parametrize("value", ["text", None, (1,), ("a=b=c",)])
def test_a_request_made_by_hand_has_parsed_values(name: str, value: Any) -> None:
    """Texts that nobody read, and what is no value at all, are refused before a builder is asked."""
    with pytest.raises(ClientError):
        check_request(BuildRequest(**{name: value}))
