"""Names of objects, and of field managers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from standins.provider.names import NamingOff, adopt_old_name, autoname, field_manager
from standins.provider.values import UNKNOWN

# Names


def test_autoname_is_the_resource_and_eight_digits() -> None:
    """The same seed gives the same name; the object is marked as named automatically."""
    first: dict[str, Any] = {"metadata": {}}
    second: dict[str, Any] = {}
    autoname(first, "config", b"seed")
    autoname(second, "config", b"seed")
    assert first == second
    assert re.fullmatch(r"config-[0-9a-f]{8}", first["metadata"]["name"])
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}


@pytest.mark.parametrize("metadata", [{"name": "own"}, {"name": UNKNOWN}, {"generateName": "own-"}])
def test_named_objects_are_not_renamed(metadata: dict[str, Any]) -> None:
    """A name, even one not known yet, stays."""
    target = {"metadata": dict(metadata)}
    autoname(target, "config", b"seed")
    assert target == {"metadata": metadata}


def test_the_engine_may_propose_or_forbid_names() -> None:
    """A proposed name is taken; with naming off an unnamed object is an error."""
    target: dict[str, Any] = {"metadata": {}}
    autoname(target, "config", b"", proposed="chosen")
    assert target["metadata"]["name"] == "chosen"
    with pytest.raises(NamingOff, match=r"\.metadata\.name"):
        autoname({"metadata": {}}, "config", b"", disabled=True)


def test_automatic_names_stick() -> None:
    """An update takes over the old name only if that was automatic and none is given."""
    old = {"metadata": {"name": "config-1", "annotations": {"pulumi.com/autonamed": "true"}}}
    new: dict[str, Any] = {"metadata": {}}
    adopt_old_name(new, old)
    assert new == old
    named: dict[str, Any] = {"metadata": {"name": "own"}}
    adopt_old_name(named, old)
    assert named == {"metadata": {"name": "own"}}
    unnamed: dict[str, Any] = {"metadata": {}}
    adopt_old_name(unnamed, {"metadata": {"name": "own"}})
    assert unnamed == {"metadata": {}}


def test_field_manager_comes_from_annotation_state_or_chance() -> None:
    """In this order; client-side apply has one name for all."""
    assert re.fullmatch(r"pulumi-kubernetes-[0-9a-f]{8}", field_manager({}, {}))
    assert field_manager({"__fieldManager": "kept"}, {}) == "kept"
    annotated = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "own"}}}
    assert field_manager({"__fieldManager": "kept"}, annotated) == "own"
    assert field_manager({"__fieldManager": "kept"}, annotated, server_side=False) == "pulumi-kubernetes"
