"""AWS credentials from the environment and the shared files; what the SDK reads is in `request/test_caches.py`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildclient.registry.aws import aws_credentials, read_ini

PAIR = "aws_access_key_id=A\naws_secret_access_key=S\n"


def test_the_files_of_the_home_folder_are_read(tmp_path: Path) -> None:
    """~/.aws/credentials and ~/.aws/config, unless the environment names others."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(f"[default]\n{PAIR}")
    (tmp_path / ".aws/config").write_text("[profile other]\naws_access_key_id=B\naws_secret_access_key=T\n")
    home = {"HOME": str(tmp_path)}
    assert aws_credentials(home) == {"access_key_id": "A", "secret_access_key": "S"}
    assert aws_credentials({**home, "AWS_PROFILE": "other"}) == {"access_key_id": "B", "secret_access_key": "T"}
    assert aws_credentials({**home, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}) == {}


@pytest.mark.parametrize("broken", ["folder", "pipe", "device", "large", "binary"])
def test_a_file_that_cannot_be_read_is_an_empty_one(broken: str, tmp_path: Path) -> None:
    """And nothing is waited for without end."""
    path = tmp_path / "file"
    if broken == "folder":
        path.mkdir()
    elif broken == "pipe":
        os.mkfifo(path)
    elif broken == "large":
        path.write_bytes(b"[default]\n" + PAIR.encode() + bytes(2 << 20))
    elif broken == "binary":
        path.write_bytes(bytes(range(256)) * 9)
    environ = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": "/dev/zero" if broken == "device" else str(path)}
    assert aws_credentials(environ) == {}


def test_what_needs_a_call_or_a_program_is_not_read(tmp_path: Path) -> None:
    """No role is taken on and no program is started."""
    (tmp_path / "c").write_text(
        f"[a]\ncredential_process=touch {tmp_path}/ran\n"
        f"[b]\nrole_arn=r\nsource_profile=c\n[c]\n{PAIR}[d]\nrole_arn=r\n{PAIR}"
    )
    for profile in "abd":
        environ = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "c"), "AWS_PROFILE": profile}
        assert aws_credentials(environ) == {}
    assert not (tmp_path / "ran").exists()


def test_nested_values_are_no_credentials() -> None:
    """Indented lines below an empty value belong to it."""
    assert read_ini("[a]\ns3 =\n  aws_access_key_id = no\nregion = r\n  x = y\n") == {
        "a": {"s3": "", "region": "r", "x": "y"}
    }
