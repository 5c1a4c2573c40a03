"""Every flag of `docker buildx build` 0.38.2, and the tests that hold ours to it.

Names, short forms and whether a flag takes a value are those of commands/build.go and commands/root.go; hidden flags
are there too. `tests/cluster/test_flag_table.py` compares the table with the program's own help.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FLAGS", "HIDDEN", "Held"]

_SOLVES = "tests/unit/request/test_attrs.py::test_the_solve_is_docker_buildx_s"
_ARGV = "tests/unit/cli/test_argv.py::test_every_form_of_a_flag_is_read"
_OLD = "tests/unit/cli/test_flags.py::test_old_flags_are_taken_and_each_says_so"
_RESOURCES = "tests/unit/request/test_resources.py::test_every_limit_becomes_its_attribute"
_WRONG = "tests/unit/cli/test_flags.py::test_a_wrong_flag_is_named_in_one_message"


class Held(NamedTuple):
    """A flag."""

    test: str
    """What holds it, beside `test_a_flag_is_taken_in_every_form`."""
    value: str = ""
    """A value that it takes; empty for a switch."""
    short: str = ""


FLAGS: dict[str, Held] = {
    "--add-host": Held(_SOLVES, "db:10.0.0.7"),
    "--allow": Held(_SOLVES, "network.host"),
    "--annotation": Held(_SOLVES, "index,manifest:a=b"),
    "--attest": Held(_SOLVES, 'type=provenance,"mode=max"'),
    "--build-arg": Held(_SOLVES, "A=b"),
    "--build-context": Held(_SOLVES, "one=docker-image://two"),
    "--builder": Held(
        "tests/unit/cli/test_flags.py::test_the_builder_is_named_before_or_behind_a_command_of_either_name", "one"
    ),
    "--cache-from": Held(_SOLVES, 'type=registry,"ref=a/b:c"'),
    "--cache-to": Held(_SOLVES, "type=inline"),
    "--call": Held("tests/unit/request/test_callmethod.py", "check,format=json"),
    "--cgroup-parent": Held(_SOLVES, "/slice"),
    "--check": Held(_ARGV),
    "--debug": Held("tests/unit/cli/test_debug.py", short="-D"),
    "--file": Held("tests/unit/inputs/test_context.py", "Dockerfile", "-f"),
    "--help": Held("tests/unit/cli/test_main.py::test_help_of_each_command_goes_to_standard_output", short="-h"),
    "--iidfile": Held("tests/cluster/corpus/rows_outputs.py", "id"),
    "--label": Held(_SOLVES, "a=b"),
    "--load": Held("tests/cluster/corpus/rows_load.py"),
    "--metadata-file": Held("tests/cluster/corpus/rows_outputs.py", "meta.json"),
    "--network": Held(_SOLVES, "none"),
    "--no-cache": Held(_SOLVES),
    "--no-cache-filter": Held(_SOLVES, "one"),
    "--output": Held(_SOLVES, 'type=oci,"dest=a,b.tar"', "-o"),
    "--platform": Held(_SOLVES, "windows(10.0.17763)/amd64"),
    "--policy": Held("tests/unit/request/test_policy.py", "disabled=true"),
    "--progress": Held(_WRONG, "plain"),
    "--provenance": Held(_SOLVES, "mode=max"),
    "--pull": Held(_SOLVES),
    "--push": Held("tests/cluster/corpus/rows_outputs.py"),
    "--quiet": Held("tests/cluster/corpus/rows_outputs.py", short="-q"),
    "--resource": Held(_RESOURCES, "memory=1g"),
    "--sbom": Held(_SOLVES, "true"),
    "--secret": Held("tests/unit/request/test_secrets.py", 'id=a,"src=b"'),
    "--shm-size": Held(_SOLVES, "64m"),
    "--ssh": Held("tests/unit/request/test_ssh.py", "default"),
    "--tag": Held(_SOLVES, "a/b:c", "-t"),
    "--target": Held(_SOLVES, "one"),
    "--ulimit": Held(_SOLVES, "nofile=1:2"),
}
"""What the help shows."""
HIDDEN: dict[str, Held] = {
    "--compress": Held(_OLD),
    "--cpu-period": Held(_RESOURCES, "1"),
    "--cpu-quota": Held(_RESOURCES, "1"),
    "--cpu-shares": Held(_RESOURCES, "1", "-c"),
    "--cpuset-cpus": Held(_RESOURCES, "0-3"),
    "--cpuset-mems": Held(_RESOURCES, "0,1"),
    "--force-rm": Held(_OLD),
    "--isolation": Held(_OLD, "default"),
    "--memory": Held(_RESOURCES, "1g", "-m"),
    "--memory-swap": Held(_RESOURCES, "-1"),
    "--print": Held(_ARGV, "outline"),
    "--rm": Held(_OLD),
    "--security-opt": Held(_OLD, "seccomp=unconfined"),
    "--squash": Held(_OLD),
}
"""What it hides."""
