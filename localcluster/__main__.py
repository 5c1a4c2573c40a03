"""`python -m localcluster up|down|status|env|check|tools`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from localcluster.errors import ClusterError
from localcluster.instance import Instance, current_instance


def main() -> int:
    """Runs one command; 0 when done, 1 with one line when it cannot be, 3 when `status` finds something amiss."""
    parser = argparse.ArgumentParser(
        prog="python -m localcluster",
        description="A real Kubernetes of two nodes (amd64, arm64) with a registry, on this machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|status|env|check|tools")
    commands.add_parser("up", help="start what is not running; wait for two ready nodes")
    commands.add_parser("down", help="end and remove everything that up made")
    commands.add_parser("status", help="what runs and what does not")
    env = commands.add_parser("env", help='variables for a shell: eval "$(python -m localcluster env)"')
    env.add_argument("--json", action="store_true", help="as a JSON object")
    commands.add_parser("check", help="what stops the cluster on this machine, without starting anything")
    tool = commands.add_parser("tools", help="get tools (all by default) and print where they are")
    tool.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    try:
        return int(_COMMANDS[arguments.command](current_instance(), arguments))
    except PermissionError as error:
        print(f"ERROR: {error.filename}: {error.strerror}; the local cluster belongs to root", file=sys.stderr)
        return 1
    except (ClusterError, OSError, ValueError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `up` goes on from here, `down` removes what there is", file=sys.stderr)
        return 130


def _up(instance: Instance, _: argparse.Namespace) -> int:
    from localcluster.up import up

    up(instance)
    return 0


def _down(instance: Instance, _: argparse.Namespace) -> int:
    from localcluster.down import down

    down(instance)
    return 0


def _status(instance: Instance, _: argparse.Namespace) -> int:
    from localcluster.status import status

    lines = status(instance)
    width = max(len(line.name) for line in lines)
    for line in lines:
        print(f"{line.name:<{width}}  {'ok  ' if line.well else 'DOWN'}  {line.detail}")
    return 0 if all(line.well for line in lines) else 3


def _env(instance: Instance, arguments: argparse.Namespace) -> int:
    from localcluster.environment import environment, exports, stand_ins_notice, write_stack_config

    variables = environment(instance)
    write_stack_config()
    if notice := stand_ins_notice(variables, os.environ):
        print(notice, file=sys.stderr)
    print(json.dumps(variables, indent=1) if arguments.json else exports(variables), end="\n" if arguments.json else "")
    return 0


def _check(instance: Instance, _: argparse.Namespace) -> int:
    from localcluster.machine.preflight import problems

    found = problems(instance)
    print("\n".join(found) or "nothing is in the way")
    return 1 if found else 0


def _tools(_: Instance, arguments: argparse.Namespace) -> int:
    from localcluster import tools

    for name in arguments.names or tools.ALL:
        print(tools.ensure(name, lambda text: print(f"  {text}", file=sys.stderr, flush=True)))
    return 0


_COMMANDS = {"up": _up, "down": _down, "status": _status, "env": _env, "check": _check, "tools": _tools}

if __name__ == "__main__":
    sys.exit(main())
