"""The action's inputs as a request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import UsageError
from buildclient.ci.inputs import Inputs, default_context
from buildclient.discovery.where import Where
from buildclient.request.make import build_request
from buildclient.request.secrets import SecretEnv, SecretFile, SecretValue
from tests.conftest import ROOT

GITHUB = {"GITHUB_REPOSITORY": "you/app", "GITHUB_SHA": "c0ffee", "GITHUB_REF": "refs/heads/main"}
# The inputs of docker/build-push-action.
PEER = [
    "context",
    "file",
    "platforms",
    "push",
    "load",
    "tags",
    "labels",
    "annotations",
    "build-args",
    "build-contexts",
    "secrets",
    "secret-envs",
    "secret-files",
    "ssh",
    "cache-from",
    "cache-to",
    "outputs",
    "provenance",
    "sbom",
    "attests",
    "target",
    "no-cache",
    "no-cache-filters",
    "pull",
    "allow",
    "network",
    "shm-size",
    "ulimit",
    "add-hosts",
    "call",
    "cgroup-parent",
    "builder",
    "github-token",
]


def inputs(**given: str) -> Inputs:
    """Inputs of a step in a GitHub job."""
    return Inputs(
        {**GITHUB, "GITHUB_WORKSPACE": "/src", **{f"INPUT_{name.upper()}": value for name, value in given.items()}}
    )


def action() -> dict[str, Any]:
    """action.yml."""
    return dict(yaml.safe_load((ROOT / "action.yml").read_text()))


def test_the_action_has_the_peer_s_inputs_and_hands_each_to_the_client() -> None:
    """By name, and each as the variable that the client reads; outputs are those of the step."""
    described = action()
    assert set(described["inputs"]) == {*PEER, "kubeconfig"}
    install, build = described["runs"]["steps"]
    assert "env" not in install
    assert build["env"] == {
        f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}" for name in described["inputs"]
    }
    assert set(described["outputs"]) == {"imageid", "digest", "metadata"}


def test_action_yml_is_what_github_s_schema_allows() -> None:
    """The keys of a composite action and of its steps; every text is a text, as YAML may read one as a number."""
    described = action()
    assert set(described) <= {"name", "author", "description", "branding", "inputs", "outputs", "runs"}
    assert set(described["runs"]) == {"using", "steps"}
    assert described["runs"]["using"] == "composite"
    for one in described["inputs"].values():
        assert set(one) <= {"description", "required", "default", "deprecationMessage"}
        assert isinstance(one["description"], str)
        assert isinstance(one["required"], bool)
        assert isinstance(one.get("default", ""), str)
    for one in described["outputs"].values():
        assert set(one) == {"description", "value"}
    for step in described["runs"]["steps"]:
        assert set(step) <= {"name", "id", "shell", "run", "env", "if", "working-directory", "uses", "with"}
        # Required of a step with `run` in a composite action.
        assert step["shell"] == "sh"
        # An expression in a script would be pasted into it unquoted.
        assert "${{" not in step["run"]


def test_lists_are_lines_or_csv() -> None:
    """Quotes keep commas and line breaks; outputs are taken as they are."""
    assert inputs(tags="r/a:1,r/a:2\n\n r/b:3 ").items("tags") == ("r/a:1", "r/a:2", "r/b:3")
    listed = inputs(labels='a=1,2\n"b=x ""y"", z"\n"c=one\ntwo"\nd=it\'s "so"')
    assert listed.items("labels", commas=False) == ("a=1,2", 'b=x "y", z', "c=one\ntwo", 'd=it\'s "so"')
    outputs = 'type=image,"name=r/a:1,r/a:2"\ntype=local,dest=out'
    assert inputs(outputs=outputs).items("outputs", quotes=False) == tuple(outputs.split("\n"))


@given(st.lists(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1), max_size=4))
def test_whatever_is_quoted_comes_back(values: list[str]) -> None:
    """But for spaces at the ends."""
    quoted = "\n".join('"{}"'.format(value.replace('"', '""')) for value in values)
    found = inputs(labels=quoted).items("labels", commas=False)
    assert found == tuple(value.strip() for value in values if value.strip())


def test_a_request_is_what_the_flags_would_make_of_it(tmp_path: Path) -> None:
    """Every input lands in its field."""
    text: dict[str, str] = {
        "context": str(tmp_path), "file": "d/Dockerfile", "target": "t", "tags": "r/a:1\nr/a:2", "push": "true",
        "platforms": "linux/amd64,linux/arm64", "build_args": "A=1,2\nB=2", "labels": "l=1", "annotations": "index:k=v",
        "build_contexts": "base=docker-image://busybox", "no_cache": "True", "pull": "true", "allow": "network.host",
        "provenance": "mode=max", "sbom": "true", "network": "host", "shm_size": "64m", "ulimit": "nofile=1:2",
        "add_hosts": "h:1.2.3.4", "cgroup_parent": "g", "cache_from": "type=registry,ref=r/c\nr/d",
        "cache_to": "type=registry,ref=r/c,mode=max", "ssh": "default",
    }  # fmt: skip
    assert inputs(**text).request() == build_request(
        str(tmp_path), dockerfile="d/Dockerfile", target="t", tags=["r/a:1", "r/a:2"], push=True,
        platforms=["linux/amd64", "linux/arm64"], build_args=["A=1,2", "B=2"], labels=["l=1"], no_cache=True, pull=True,
        annotations=["index:k=v"], build_contexts=["base=docker-image://busybox"], allow=["network.host"],
        provenance="mode=max", sbom="true", network="host", shm_size="64m", ulimits=["nofile=1:2"],
        add_hosts=["h:1.2.3.4"], cgroup_parent="g", cache_from=["type=registry,ref=r/c", "r/d"],
        cache_to=["type=registry,ref=r/c,mode=max"], ssh=["default"], metadata_provenance="min",
    )  # fmt: skip
    assert inputs(context=".", call="check").request().call == "lint"
    assert inputs(context=".", no_cache_filters="a,b").request().no_cache_filter == ("a", "b")


def test_secrets_are_values_variables_and_files() -> None:
    """The token of the job is one only where the workflow's own commit is cloned, and no other stands for it."""
    found = inputs(
        context=".", secrets='"a=x\ny"\nb=p,q=', secret_envs="c=TOKEN", secret_files="d=/s", github_token="t"
    )
    assert dict(found.request().secrets) == {
        "a": SecretValue(b"x\ny"), "b": SecretValue(b"p,q="), "c": SecretEnv("TOKEN"), "d": SecretFile("/s"),
    }  # fmt: skip
    assert inputs(github_token="t").request().secrets == {"GIT_AUTH_TOKEN": SecretValue(b"t")}
    own = inputs(github_token="t", secrets="GIT_AUTH_TOKEN=mine")
    assert own.request().secrets == {"GIT_AUTH_TOKEN": SecretValue(b"mine")}
    assert not inputs(github_token="t", context="https://elsewhere.example/you/app.git#x").request().secrets
    for wrong in ("a=b\nhunter2", "a=b\n=hunter2"):
        with pytest.raises(UsageError, match="item 2") as raised:
            inputs(context=".", secrets=wrong).request()
        assert "hunter2" not in str(raised.value)


def test_the_context_is_the_workflow_s_commit_by_default() -> None:
    """Of a pull request its merge; a folder of it by `{{defaultContext}}:folder`."""
    assert inputs().context() == "https://github.com/you/app.git#c0ffee"
    assert inputs(context="{{defaultContext}}:web").context() == "https://github.com/you/app.git#c0ffee:web"
    pull = {**GITHUB, "GITHUB_REF": "refs/pull/1/merge", "GITHUB_SERVER_URL": "https://git.example"}
    assert default_context(pull) == "https://git.example/you/app.git#refs/pull/1/merge"
    with pytest.raises(UsageError, match="GITHUB_SHA"):
        Inputs({}).context()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "Dockerfile"),
        ({"context": "{{defaultContext}}:web"}, "web/Dockerfile"),
        ({"context": "web"}, "web/Dockerfile"),
        ({"context": "web", "file": "./docker/web.Dockerfile"}, "docker/web.Dockerfile"),
        ({"context": "/src/web"}, "web/Dockerfile"),
        ({"context": "https://git.example/x.git"}, ""),
        ({"context": ".", "file": "https://x.example/Dockerfile"}, ""),
        ({"context": "../other"}, ""),
    ],
)
def test_annotations_know_the_dockerfile(given: dict[str, str], path: str) -> None:
    """By its path in the repository; empty where it is none of its files."""
    assert inputs(**given).dockerfile() == path


def test_a_builder_is_a_config_map_or_an_address() -> None:
    """And must be named: no state of Pulumi is looked for in a job."""
    assert inputs(builder="buildkit/kube").where() == Where(from_cluster="buildkit/kube")
    assert inputs(builder="tcp://b.example:1234").where() == Where(addr=("tcp://b.example:1234",))
    with pytest.raises(UsageError, match="input builder"):
        inputs().where()


@pytest.mark.parametrize(
    ("given", "words"),
    [({"push": "yes"}, "input push: expected true or false"), ({"tags": "x" * (1 << 20) + "y"}, "input tags: more")],
)
def test_a_wrong_input_is_named(given: dict[str, str], words: str) -> None:
    """In the line that says what is wrong with it."""
    with pytest.raises(UsageError, match=re.escape(words)):
        inputs(context=".", **given).request()
