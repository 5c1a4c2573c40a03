"""The options of a builder node: the table of them, their parsers, and one error that lists every problem."""

from infra.options.check import Options, parse_driver_opts
from infra.options.pairs import Toleration
from infra.options.problems import OptionErrors, Problem
from infra.options.quantity import Quantity

__all__ = ["OptionErrors", "Options", "Problem", "Quantity", "Toleration", "parse_driver_opts"]
