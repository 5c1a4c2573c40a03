"""The options of a builder node: their table, their parsers, and one error that lists every problem.

Importing them needs no Pulumi, so that a script or a policy can check option text before anything is provisioned:

    from buildkit_builders.options import OptionErrors, parse_driver_opts

    try:
        options = parse_driver_opts('replicas=2,"nodeselector=kubernetes.io/arch=arm64"')
    except OptionErrors as error:
        for problem in error.problems:
            print(problem)
"""

from buildkit_builders.options.check import Options, parse_driver_opts
from buildkit_builders.options.pairs import Toleration
from buildkit_builders.options.problems import OptionErrors, Problem
from buildkit_builders.options.quantity import Quantity

__all__ = ["OptionErrors", "Options", "Problem", "Quantity", "Toleration", "parse_driver_opts"]
