"""An instance's names, addresses and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.instance import Instance, current_instance
from localcluster.machine import binfmt


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


@given(st.from_regex(r"[a-z]{2,6}", fullmatch=True))
def test_an_instance_has_its_own_names_and_subnet(name: str) -> None:
    """The same name gives the same instance; a device name fits the kernel's 15 characters; only `lc` is at 77."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLUSTER_INSTANCE", name)
        one, other = current_instance(), current_instance()
    assert one == other
    assert len(one.host_link) <= 15
    assert (one.octet == 77) == (name == "lc")
    assert 0 < one.octet < 256


@pytest.mark.parametrize("name", ["x", "seventy", "A", "a b", "../x", "l1"])
def test_a_wrong_instance_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name goes into paths and devices, so nothing but letters gets through."""
    monkeypatch.setenv("LOCALCLUSTER_INSTANCE", name)
    with pytest.raises(ValueError, match="LOCALCLUSTER_INSTANCE"):
        current_instance()


def test_the_cache_of_an_up_is_known_to_a_down_that_has_another(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cache is noted once, for all instances; what it registered is forgotten along with the other's."""
    forgotten: list[tuple[str, ...]] = []
    monkeypatch.setattr(binfmt, "forget", lambda *folders: forgotten.append(folders))
    for cache in ("/one", "/two", "/one"):
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        binfmt.remember(instance)
    monkeypatch.setenv("XDG_CACHE_HOME", "/three")
    other = instance._replace(name="other", run=instance.run.parent / "other")
    for _ in range(2):
        binfmt.forget_ours(other)
    here = ["/three/buildkit-builders", "/one/buildkit-builders", "/two/buildkit-builders", binfmt.INSTALLED]
    assert forgotten == [tuple(here), (here[0], binfmt.INSTALLED)]
    assert not list(instance.run.parent.iterdir())
