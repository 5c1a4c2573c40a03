"""The reader of plain YAML, against PyYAML."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buildclient.kube.blockyaml import read_block_yaml

_KUBECTL = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJU+/==
    extensions:
    - extension:
        provider: minikube.sigs.k8s.io
        version: v1.36.0
      name: cluster_info
    server: https://192.168.49.2:8443
  name: arn:aws:eks:eu-central-1:123456789012:cluster/one
contexts:
- context:
    cluster: arn:aws:eks:eu-central-1:123456789012:cluster/one
    namespace: default
    user: admin@one
  name: admin@one
current-context: admin@one
kind: Config
preferences: {}
users:
- name: admin@one
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - --region
      - eu-central-1
      - eks
      - get-token
      - --cluster-name
      - one
      command: aws
      env:
      - name: AWS_PROFILE
        value: "10"
      interactiveMode: IfAvailable
      provideClusterInfo: false
    token: null
"""
_INDENTED = """\
---
# Written by hand.
apiVersion: v1
kind: Config
users:

  - name: 'me'
    user:
      token:
      client-key: /home/me/key.pem
contexts: []
"""


@pytest.mark.parametrize("text", [_KUBECTL, _INDENTED], ids=["kubectl", "by hand"])
def test_what_kubectl_writes_is_read(text: str) -> None:
    """To the values that PyYAML reads."""
    assert read_block_yaml(text) == yaml.safe_load(text)


def test_pyyaml_is_not_imported_for_it() -> None:
    """Its import is what is spared."""
    code = (
        "import sys\nfrom buildclient.kube.kubeconfig import parse_kubeconfig\n"
        "assert parse_kubeconfig(sys.stdin.read()).current == 'admin@one'\nassert 'yaml' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], input=_KUBECTL, text=True, check=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "- ", "-", "- a\n b", "a: b\n  c", "a: b: c", "a: b #c", "a: &b c", "a: *b", "a: !!str b", "a: |\n  b",
        "a: {b: c}", "a: [b]", "'a': b", "? a\n: b", "a: 1", "a: 1.5", "a: 2026-01-01", "a: yes", "a: True", "a: ~",
        "yes: a", "null: a", "a: 'b''c'", 'a: "b\\n"', "a:\tb", "a: b\r", "a: ü", "a: b\n---\nc: d", "a: b\n...",
        "a:\n  b: c\n d: e", "a: b\n- c", "- a\nb: c", "a: -.inf", "<<: a", "a: b:", "a:b", "- - a\n - b", "a: 'b",
        "a: 0x1f", "a: @b", "a: `b", "a: %b", "a: b,\n  c",
    ],
)  # fmt: skip
def test_anything_else_is_left_to_the_library(text: str) -> None:
    """Whether it is YAML or not."""
    with pytest.raises(ValueError, match=r"^(a|an|lines|nothing) "):
        read_block_yaml(text)


_texts = st.one_of(
    st.text("abyen01-+.:/#'\"~_ ={}[],&*!|>%@", max_size=8),
    st.sampled_from(
        ["true", "null", "No", "--flag", "https://a:1/b", "1e3", "0o7", "-", "=", "<<", "a: b", "é", "a\nb"]
    ),
)
_values = st.recursive(
    st.one_of(_texts, st.none(), st.booleans(), st.integers(-3, 3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=12,
)


@given(_values)
def test_what_pyyaml_writes_is_read_alike_or_refused(value: Any) -> None:
    """Never to another value."""
    _alike(yaml.safe_dump(value, default_flow_style=False, width=10_000))


_lines = st.tuples(
    st.integers(0, 5).map(" ".__mul__),
    st.sampled_from(["", "- ", "-", "-  ", "- - ", "#"]),
    st.sampled_from(["", "a:", "b: ", "a: b", "c: {}", "b", "--a", "'a'", '"b": c', "a: 'b'", "a: - b", "---", "a :b"]),
).map("".join)


@given(st.lists(_lines, max_size=8).map("\n".join))
def test_any_lines_are_read_alike_or_refused(text: str) -> None:
    """Also where they are no YAML: then they are refused here too."""
    _alike(text)


def _alike(text: str) -> None:
    try:
        read = read_block_yaml(text)
    except ValueError:
        return
    assert read == yaml.load(text, Loader=yaml.CSafeLoader)
