"""Addresses of daemons: every form that buildctl takes, and nothing that a shell or ssh would misread."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.address import Address, AddressError, KubePod, Ssh, Tcp, Unix, parse_address

FORMS: dict[str, Address] = {
    "unix:///run/buildkit/buildkitd.sock": Unix("/run/buildkit/buildkitd.sock"),
    "unix://@name": Unix("@name"),
    "tcp://buildkit.example:1234": Tcp("buildkit.example", 1234),
    "tcp://[2001:db8::7]:1234": Tcp("2001:db8::7", 1234),
    "ssh://host": Ssh("host"),
    "ssh://me@host:10022/s/o.sock": Ssh("host", "me", 10022, "/s/o.sock"),
    "ssh://[::1]:22": Ssh("::1", "", 22),
    "kube-pod://buildkitd-0": KubePod("buildkitd-0"),
    "kube-pod://p?namespace=ci&context=arn%3Aaws%3Aeks%2Fdev&container=buildkitd": KubePod(
        "p", "ci", "arn:aws:eks/dev", "buildkitd"
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_read_and_written(text: str) -> None:
    """Text to address and back."""
    assert parse_address(text) == FORMS[text]
    assert str(FORMS[text]) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be unix://PATH"),
        ("host:1234", "must be unix://PATH"),
        ("docker-container://name", "must be unix://PATH"),
        ("npipe:////./pipe/x", "must be unix://PATH"),
        ("unix://", "wants the path"),
        ("unix:///" + 120 * "x", "at most 107 bytes"),
        ("tcp://host", "wants HOST:PORT"),
        ("tcp://:1", "names no host"),
        ("tcp://host:0", "'0' is no port"),
        ("tcp://host:65536", "is no port"),
        ("tcp://host:1/path", "is no port"),
        ("tcp://[::1:1", "is no host"),
        ("ssh://", "names no host"),
        ("ssh://-oProxyCommand=x", "is no host"),
        ("ssh://-l@host", "unusable user"),
        ("ssh://me:secret@host", "takes no password"),
        ("ssh://host?x=1", "takes no query"),
        ("ssh://host#x", "takes no fragment"),
        ("ssh://host/a;rm -rf", "unusable path"),
        ("ssh://host/$(id)", "unusable path"),
        ("kube-pod://", "wants the name of a pod"),
        ("kube-pod://A_b", "is no name of a pod"),
        ("kube-pod://p?namespace=a/b", "is no name of a namespace"),
        ("kube-pod://p?container=a%26b", "is no name of a container"),
        ("kube-pod://p?pod=q", "not 'pod'"),
        ("tcp://host\n:1", "control characters"),
    ],
)
def test_what_is_no_address_is_refused(text: str, words: str) -> None:
    """With the part at fault."""
    with pytest.raises(AddressError, match=words):
        parse_address(text)


_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
_MAYBE = st.one_of(st.just(""), _LABEL)
_CONTEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)
_HOST = st.one_of(_LABEL, st.ip_addresses().map(str))
_PORT = st.integers(1, 65535)
_ADDRESS: st.SearchStrategy[Address] = st.one_of(
    st.builds(Unix, st.text(string.ascii_letters + string.digits + "/._- é", min_size=1, max_size=50)),
    st.builds(Tcp, _HOST, _PORT),
    st.builds(Ssh, _HOST, _MAYBE, st.one_of(st.just(0), _PORT), st.sampled_from(["", "/a/b.sock"])),
    st.builds(KubePod, _LABEL, _MAYBE, _CONTEXT, _MAYBE),
)  # fmt: skip


@given(_ADDRESS)
def test_an_address_is_read_as_it_is_written(address: Address) -> None:
    """Whatever its parts are."""
    assert parse_address(str(address)) == address


@given(st.one_of(st.text(), st.sampled_from(list(FORMS)).flatmap(lambda form: st.text().map(lambda end: form + end))))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """What is read reads the same when it is written again."""
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address
