"""Expressions that are compiled late are right all the same."""

from __future__ import annotations

import importlib
import pkgutil
import re

import buildclient
from buildclient.contract import patterns
from buildclient.contract.patterns import pattern


def test_what_is_asked_of_it_is_what_the_compiled_expression_has() -> None:
    """Methods and attributes, flags included."""
    late = pattern("(A)b", re.IGNORECASE)
    assert late.sub(r"\1", "xab") == "xa"
    assert late.fullmatch("AB")
    assert late.pattern == "(A)b"
    assert pattern(rb"\d").findall(b"a1b2") == [b"1", b"2"]


def test_every_expression_of_the_client_compiles() -> None:
    """Those that a command does not use would show no fault."""
    found = 0
    for module in pkgutil.walk_packages(buildclient.__path__, "buildclient."):
        if module.name.endswith("__main__") or ".proto." in module.name:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if type(value) is getattr(patterns, "_Pattern"):  # noqa: B009 – for a type checker it is a function
                assert value.groups >= 0
                found += 1
    assert found > 50
