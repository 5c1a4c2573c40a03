"""Attributes of local caches, and what the daemon is told of them."""

from __future__ import annotations

import pytest

from buildclient.base.errors import InvalidBuild
from buildclient.request.localcache import (
    LocalExport,
    LocalImport,
    export_entry,
    import_entry,
    local_export,
    local_import,
    store_id,
)
from buildclient.request.make import build_request
from buildclient.request.solve import CacheEntry


def _entry(**attrs: str) -> CacheEntry:
    return CacheEntry("local", attrs)


def test_attributes_are_read() -> None:
    """The tag is `latest` where none is given."""
    assert local_export(_entry(dest="d")) == LocalExport("d", "latest", False)
    assert local_export(_entry(dest="d", tag="x", reset="1")) == LocalExport("d", "x", True)
    assert local_import(_entry(src="s")) == LocalImport("s", "latest", "")
    assert local_import(_entry(src="s", tag="", digest="sha256:1")) == LocalImport("s", "", "sha256:1")


@pytest.mark.parametrize(
    ("given", "message", "flag"),
    [
        ({"cache_to": ["type=local"]}, "local cache exporter requires dest", "--cache-to"),
        ({"cache_from": ["type=local,dest=x"]}, "local cache importer requires src", "--cache-from"),
        (
            {"cache_to": ["type=local,dest=x,reset=perhaps"]},
            'failed to parse reset attribute: strconv.ParseBool: parsing "perhaps": invalid syntax',
            "--cache-to",
        ),
        ({"cache_from": ["type=local,src=x,tag="]}, "local cache importer requires either explicit", "--cache-from"),
    ],
)
def test_wrong_attributes_are_refused(given: dict[str, list[str]], message: str, flag: str) -> None:
    """In docker buildx's words, with the flag."""
    with pytest.raises(InvalidBuild) as caught:
        build_request(**given)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)
    assert caught.value.flag == flag


@pytest.mark.parametrize("folder", ["a/b", "/a b/c=d", "cache,1"])
def test_a_plain_folder_is_sent_as_it_is(folder: str) -> None:
    """As docker buildx sends it."""
    entry = _entry(dest=folder)
    assert export_entry(entry) is entry
    assert store_id(folder) == f"local:{folder}"


@pytest.mark.parametrize("folder", ["ü", " x", "x ", "a\nb", "\udcff"])
def test_a_folder_that_metadata_cannot_hold_is_encoded(folder: str) -> None:
    """The same way in the solve and in the session, so that the daemon's name for the store is right."""
    sent = export_entry(_entry(dest=folder)).attrs["dest"]
    assert sent.isascii()
    assert sent.isprintable()
    assert sent == sent.strip()
    assert store_id(folder) == f"local:{sent}"
    assert import_entry(_entry(src=folder), "sha256:1").attrs == {"src": sent, "digest": "sha256:1"}
