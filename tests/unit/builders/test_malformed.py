"""Wrong input: each case is refused with a clear message that names the option."""

from __future__ import annotations

import re
from typing import Any

import pytest
from buildkit_builders.options import OptionErrors, parse_driver_opts
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import TABLE
from buildkit_builders.spec import check_builder, check_cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.builders.malformed_infra import CONFIGS, MAPPINGS, TEXTS

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _clear(error: OptionErrors, name: str) -> None:
    lines = str(error).split("\n")
    assert len(lines) == len(error.problems) >= 1
    assert any(name in line for line in lines), lines
    for line, problem in zip(lines, error.problems, strict=True):
        assert problem.option
        assert len(line) < 600
        assert line.isprintable()
        assert not re.search(r"Traceback|Error\(|<class|object at 0x", line)


@pytest.mark.parametrize(("text", "name"), TEXTS)
def test_malformed_option_text_is_refused_by_name(text: str, name: str) -> None:
    """A wrong option text is refused with a message that names the option, given or meant."""
    with pytest.raises(OptionErrors) as caught:
        parse_driver_opts(text)
    _clear(caught.value, name)


@pytest.mark.parametrize(("options", "name"), MAPPINGS)
def test_malformed_structured_options_are_refused_by_name(options: Any, name: str) -> None:
    """Wrong structured options are refused with a message that names the option."""
    with pytest.raises(OptionErrors) as caught:
        parse_driver_opts(options)
    _clear(caught.value, name)


@pytest.mark.parametrize(("config", "name"), CONFIGS)
def test_malformed_config_is_refused_by_path(config: dict[str, Any], name: str) -> None:
    """A wrong builder config is refused with a message that names the key."""
    problems = Problems("builder:")
    check_cluster(config, problems)
    check_builder(config, "default", problems)
    with pytest.raises(OptionErrors) as caught:
        problems.raise_any()
    _clear(caught.value, name)


def test_the_corpus_is_as_large_as_promised() -> None:
    """At least 200 different wrong inputs are tried."""
    assert len({repr(case) for case in [*TEXTS, *MAPPINGS, *CONFIGS]}) >= 300


def test_all_problems_are_listed_at_once() -> None:
    """Wrong parts of one text are all told, in the order in which they were written."""
    with pytest.raises(OptionErrors) as caught:
        parse_driver_opts('replicas=-1,rootless=yes,buildkit-root-folder-memory=6G,timeout=120,"labels=app=x"')
    options = [problem.option for problem in caught.value.problems]
    assert options == ["replicas", "rootless", "driver-opts", "timeout", "labels"]


@_PATIENT
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    """No text at all ends in anything but options or an OptionErrors."""
    try:
        parse_driver_opts(text)
    except OptionErrors as error:
        _clear(error, "")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@_PATIENT
@given(st.dictionaries(st.sampled_from(TABLE.names), _json, max_size=4))
def test_any_structured_value_is_read_or_refused_clearly(options: dict[str, Any]) -> None:
    """No value that JSON can hold ends in anything but options or an OptionErrors."""
    try:
        parse_driver_opts(options)
    except OptionErrors as error:
        _clear(error, "")


_keys = st.sampled_from(
    ["name", "namespace", "nodes", "driver-opts", "platforms", "loadbalance", "createNamespace", "x"]
)


@_PATIENT
@given(st.dictionaries(_keys, _json | st.lists(st.dictionaries(_keys, _json, max_size=3), max_size=2), max_size=5))
def test_any_config_is_read_or_refused_clearly(config: dict[str, Any]) -> None:
    """No config that YAML can hold makes the check fail in any other way than by listing problems."""
    problems = Problems("builder:")
    check_cluster(config, problems)
    check_builder(config, "default", problems)
    for problem in problems.found:
        assert str(problem).isprintable()
