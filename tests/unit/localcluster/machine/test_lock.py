"""One command at a time for each instance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.errors import ClusterError
from localcluster.instance import Instance
from localcluster.machine.lock import lock_file, locked


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def test_the_lock_keeps_a_second_command_out(instance: Instance) -> None:
    """While one holds it, another gives up after its time; afterwards, and after the file was removed, it is free."""
    said: list[str] = []
    with locked(instance, said.append), pytest.raises(ClusterError, match="holds"), locked(instance, said.append, 0.3):
        pass
    assert said == ["waiting for another localcluster command to end"]
    with locked(instance, said.append, 0):
        lock_file(instance).unlink()
    with locked(instance, said.append, 0):
        assert lock_file(instance).exists()


def test_a_lock_ends_with_its_holder(instance: Instance) -> None:
    """A killed holder holds nothing."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom localcluster.instance import Instance\n"
        "from localcluster.machine.lock import locked\n"
        f"with locked(Instance('test', 200, Path({str(instance.state)!r}), Path({str(instance.run)!r})), print):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ClusterError), locked(instance, print, 0):
            pass
        holder.kill()
    with locked(instance, print, 5):
        pass
