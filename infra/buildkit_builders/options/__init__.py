"""The options of a builder node: the table of them, their parsers, and one error that lists every problem."""

from buildkit_builders.options.check import Options, parse_driver_opts
from buildkit_builders.options.pairs import Toleration
from buildkit_builders.options.problems import OptionErrors, Problem
from buildkit_builders.options.quantity import Quantity

__all__ = ["OptionErrors", "Options", "Problem", "Quantity", "Toleration", "parse_driver_opts"]
