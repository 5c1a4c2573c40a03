"""What is a name for Kubernetes."""

from __future__ import annotations

import pytest
from buildkit_builders.options.problems import InvalidValue
from buildkit_builders.options.values import dns_label, dns_subdomain
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.names import is_builder_name, is_dns_label, is_dns_subdomain, is_label_key, is_label_value

BAD = ("a/b", "a?b", "a b", "a,b", "a=b", "a\n", "a\x1b", "ä", "-a", "a-", "..", "a" * 64 + "." + "b" * 253, "%2e")


def test_names_are_taken_as_kubernetes_takes_them() -> None:
    """By kind; the bounds are part of it."""
    assert is_dns_label("a")
    assert is_dns_label("a" * 63)
    assert not is_dns_label("a" * 64)
    assert not is_dns_label("a.b")
    assert is_dns_subdomain("a.b-c.0")
    assert is_label_key("app.kubernetes.io/Name_x")
    assert not is_label_key("/a")
    assert not is_label_key("a/")
    assert not is_label_key("A/b")
    assert is_label_value("")
    assert is_label_value("A.b_c")
    assert is_builder_name("my_builder.1")


@pytest.mark.parametrize("text", BAD)
def test_nothing_else_is(text: str) -> None:
    """Nothing that would end a part of a path, a header or a selector."""
    assert not any(fits(text) for fits in (is_dns_label, is_dns_subdomain, is_label_value, is_builder_name))
    if text != "a/b":
        assert not is_label_key(text)


@given(st.text(st.sampled_from("ab0-._/ A\n"), max_size=8))
def test_the_client_reads_what_the_builder_s_side_takes(text: str) -> None:
    """Two checks of one rule."""
    for fits, read in ((is_dns_label, dns_label), (is_dns_subdomain, dns_subdomain)):
        try:
            taken = read(text) == text
        except InvalidValue:
            taken = False
        assert fits(text) == taken
