"""Where builders are found, against a small API server on loopback (the real one: tests/cluster)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from buildkit_builders.page.model import Found, Owner
from buildkit_builders.page.sources import ClusterSource, Listed, StackSource, merged

from buildclient.base.errors import ConfigurationError
from buildclient.contract.output import Cluster
from buildclient.kube.kubeconfig import Access
from tests.jsonserver import JsonHandler, served
from tests.page_views import output


class _Api(JsonHandler):
    items: ClassVar[list[Any]] = []
    forbidden = False
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        self.paths.append(self.path)
        body: dict[str, Any] = {"items": self.items}
        if self.path.endswith("/kube-system"):
            body = {"metadata": {"uid": "u1"}}
        elif self.forbidden:
            body = {"message": 'configmaps is forbidden: User "me" cannot list resource "configmaps" in API group ""'}
        self.answer(403 if self.forbidden else 200, body)


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    """The access to a small API server that has `_Api.items`."""
    monkeypatch.setattr(_Api, "items", [])
    monkeypatch.setattr(_Api, "paths", [])
    with served(_Api) as address:
        yield Access(f"http://{address}", "staging")


def config_map(namespace: str, text: str, name: str = "kube-builder", **annotations: str) -> dict[str, Any]:
    """A builder's ConfigMap."""
    told = {f"buildkit-builders/{key}": value for key, value in annotations.items()}
    metadata = {"namespace": namespace, "name": name, "labels": {"team": "pay"}, "annotations": told}
    return {"metadata": metadata, "data": {"builder.json": text}}


async def test_a_clusters_builders_come_with_their_owner(access: Access) -> None:
    """Annotations name owner, contact and expiry, a label the team; what it says of its cluster is left out."""
    text = json.dumps({**output("pay").to_json(), "kubernetes": {"context": "prod", "server": "https://victim"}})
    _Api.items = [config_map("pay", text, owner="Ada", contact="#pay", expires="2027-06-30")]
    (found,) = (await ClusterSource(access, {}).find()).found
    assert found.owner == Owner("pay", "Ada", "#pay", "2027-06-30")
    assert (found.kube_context, found.trusted, found.output.cluster) == ("staging", False, Cluster())


async def test_a_config_map_that_cannot_be_read_is_named_and_others_count(access: Access) -> None:
    """Broken JSON, a missing key, and an output that speaks for another namespace."""
    _Api.items = [
        config_map("a", "{"),
        {"metadata": {"namespace": "b", "name": "kube-builder"}, "data": {}},
        config_map("c", output("victim").dumps()),
        config_map("d", output("d").dumps(), name="other-builder"),
        config_map("pay", output("pay").dumps()),
    ]
    listed = await ClusterSource(access, {}).find()
    assert [found.output.namespace for found in listed.found] == ["pay"]
    assert [problem.split(":")[0].split(" ")[1] for problem in listed.problems] == [
        "a/kube-builder",
        "b/kube-builder",
        "c/kube-builder",
        "d/other-builder",
    ]


async def test_namespaces_are_asked_one_by_one(access: Access) -> None:
    """With names, nothing is asked of the whole cluster but its identity."""
    await ClusterSource(access, {}, ["pay", "search"]).find()
    assert {path.partition("?")[0] for path in _Api.paths} == {
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/pay/configmaps",
        "/api/v1/namespaces/search/configmaps",
    }


async def test_a_right_that_is_missing_says_what_to_do(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not list in all namespaces is told to name some."""
    monkeypatch.setattr(_Api, "forbidden", True)
    with pytest.raises(ConfigurationError, match=r"forbidden.*name the namespaces with --namespace"):
        await ClusterSource(access, {}).find()


async def test_a_projects_stacks_are_found_and_a_broken_one_is_named(tmp_path: Path) -> None:
    """State files of a project: one with a builder, one without, one with another thing by that name."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    stacks = tmp_path / "state" / ".pulumi" / "stacks" / "shop"
    stacks.mkdir(parents=True)
    for name, outputs in (("dev", {"builder": output("pay").to_json()}), ("empty", {}), ("odd", {"builder": 7})):
        resource = {"urn": "x", "type": "pulumi:pulumi:Stack", "outputs": outputs}
        state = {"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}
        (stacks / f"{name}.json").write_text(json.dumps(state))
    environment = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/state", "HOME": str(tmp_path)}
    listed = await StackSource(str(tmp_path), environment).find()
    (found,) = listed.found
    assert (found.stack, found.project, found.trusted) == ("dev", str(tmp_path), True)
    assert listed.problems[0].startswith("stack odd: ")
    with pytest.raises(ConfigurationError, match="no Pulumi project"):
        StackSource("/", {})


def test_a_builder_found_both_ways_is_one_and_other_clusters_are_others() -> None:
    """A stack's output with the ConfigMap's owner; of the same names in another cluster there are two."""
    recorded = output("pay")._replace(cluster=Cluster(uid="u1"))
    stack = Found(recorded, stack="pay", trusted=True)
    published = Found(output("pay"), "staging", owner=Owner("pay"))
    (one,) = merged([Listed((stack,)), Listed((published,), cluster=Cluster(uid="u1"))])
    assert (one.stack, one.kube_context, one.owner, one.trusted) == ("pay", "staging", Owner("pay"), True)
    assert len(merged([Listed((stack,)), Listed((published,), cluster=Cluster(uid="u2"))])) == 2
