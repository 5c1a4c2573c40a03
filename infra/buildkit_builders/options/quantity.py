"""Kubernetes quantities: `500m`, `1.5Gi`, `4e9`, read exactly and written in Kubernetes' canonical form.

The canonical form matters because the apiserver stores it: a program that says `1024Mi` where the cluster says
`1Gi` would show a change forever. Rules (apimachinery, resource.Quantity): no digits are lost; binary suffixes
stay binary where the value is a whole number of at least 1024; decimal ones take the largest suffix that leaves
a whole number; an exponent stays an exponent, in steps of three.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from buildkit_builders.options.problems import InvalidValue

__all__ = ["BYTES", "CPU", "Measure", "Quantity", "more_than_none", "parse_quantity", "read_quantity"]

_TEXT = re.compile(
    r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE]?)|(?P<exponent>[eE][+-]?[0-9]{1,3}))\Z"
)
_BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_POWER = {suffix: power for power, suffix in _DECIMAL.items()}
_LARGEST = 2**63 - 1
_NANO = 10**9


class Quantity(NamedTuple):
    """A quantity: `text` in canonical form, `value` exactly."""

    text: str
    value: Fraction

    def __str__(self) -> str:
        return self.text


class Measure(NamedTuple):
    """A kind of quantity: its name, its smallest step, and examples for errors."""

    what: str
    step: Fraction
    example: str


CPU = Measure("CPU units", Fraction(1, 1000), "100m or 2")
BYTES = Measure("bytes", Fraction(1), "500Mi or 4G")


@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Quantity:
    """Read Kubernetes' quantity grammar. Raises ValueError for any other text and for what int64 cannot hold."""
    match = _TEXT.match(text) if len(text) <= 64 else None
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a quantity")
    value = Fraction(match["number"].rstrip(".")) * (-1 if match["sign"] == "-" else 1)
    if match["binary"]:
        value *= 1024 ** _BINARY.index(match["binary"])
        form = "binary"
    elif match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"][1:])
        form = "exponent"
    else:
        value *= Fraction(10) ** _POWER[match["decimal"]]
        form = "decimal"
    # Kubernetes keeps nothing finer than nano and rounds away from zero.
    nano = value * _NANO
    whole = -(-nano.numerator // nano.denominator) if nano >= 0 else nano.numerator // nano.denominator
    value = Fraction(whole, _NANO)
    if abs(value) > _LARGEST:
        raise ValueError(f"{text!r} is more than Kubernetes can hold")
    return Quantity(_canonical(value, form), value)


def read_quantity(raw: object, measure: Measure) -> Quantity:
    """A quantity of 0 or more in steps that `measure` allows, from a number or a text.

    Raises InvalidValue for anything else; half a byte, `500m` of memory, gets a hint at `500Mi`.
    """
    allowed = f"give {measure.what}, such as {measure.example}"
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise InvalidValue(allowed)
    text = raw.strip() if isinstance(raw, str) else repr(raw)
    try:
        quantity = parse_quantity(text)
    except ValueError as error:
        wrong_case = re.fullmatch(r"([0-9.]+) ?([kmgtpe])(i?)b?", text.lower())
        hint = f'did you mean "{_recase(*wrong_case.groups())}"?' if wrong_case else ""
        too_large = "more than Kubernetes can hold" in str(error)
        raise InvalidValue("more than Kubernetes can hold (2^63-1)" if too_large else allowed, hint) from None
    if quantity.value < 0:
        raise InvalidValue(f"{allowed}, not below zero")
    if quantity.value % measure.step:
        milli = text.endswith("m") and measure is BYTES
        hint = f'm means thousandths; did you mean "{text[:-1]}Mi"?' if milli else ""
        raise InvalidValue(f"the smallest step is {'1m' if measure is CPU else 'one byte'}", hint)
    return quantity


def more_than_none(raw: object) -> Quantity:
    """A number of bytes above zero. Raises InvalidValue for anything else."""
    found = read_quantity(raw, BYTES)
    if found.value == 0:
        raise InvalidValue("give more than zero bytes, such as 6G")
    return found


def _recase(number: str, letter: str, i: str) -> str:
    return f"{number}{letter.upper() if i or letter != 'k' else 'k'}{i}"


def _canonical(value: Fraction, form: str) -> str:
    if value == 0:
        return "0"
    if form == "binary" and abs(value) >= 1024 and value.denominator == 1:
        number, power = int(value), 0
        while number % 1024 == 0 and power < len(_BINARY) - 1:
            number, power = number // 1024, power + 1
        return f"{number}{_BINARY[power]}"
    number, exponent = int(value * _NANO), -9
    while number % 1000 == 0 and exponent < 18:
        number, exponent = number // 1000, exponent + 3
    if form == "exponent":
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL[exponent]}"
