"""Credentials of AWS for caches in S3: from the environment, else from the profile in the shared files.

Read as aws-sdk-go-v2 reads them (config/internal/ini, config/shared_config.go). Not read is what needs a call or a
program: roles, SSO, web identity, `credential_process`, and the metadata of a container or a machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildclient.base.files import read_bounded

__all__ = ["aws_credentials", "read_ini"]

_MAX_FILE = 1 << 20
_ID, _SECRET, _TOKEN = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
_ATTRS = {_ID: "access_key_id", _SECRET: "secret_access_key", _TOKEN: "session_token"}
"""Keys of the files, and the attributes of a cache."""

Sections = dict[str, dict[str, str]]


def aws_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the attributes of a cache (`access_key_id`, `secret_access_key`, `session_token`) that are found.

    Empty if there are none, or if AWS_PROFILE names a profile that no file has. Reads up to two files.
    """
    profile = _first(environ, "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    sections = _sections(environ)
    if profile and profile not in sections:
        return {}
    given = {
        _ID: _first(environ, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
        _SECRET: _first(environ, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
        _TOKEN: environ.get("AWS_SESSION_TOKEN", ""),
    }
    if not (given[_ID] and given[_SECRET]):
        given = sections.get(profile or "default", {})
        if "role_arn" in given or not (given.get(_ID) and given.get(_SECRET)):
            return {}
    return {attr: given[key] for key, attr in _ATTRS.items() if given.get(key)}


def _sections(environ: Mapping[str, str]) -> Sections:
    """The profiles of both files; credentials of the credentials file count more, but only whole pairs."""
    home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".aws")
    found: Sections = {}
    for name, values in _file(environ.get("AWS_CONFIG_FILE") or os.path.join(home, "config")).items():
        kind, space, profile = name.partition(" ")
        if space and kind == "profile":
            found[profile] = values
        elif name == "default":
            found.setdefault(name, values)
    path = environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.join(home, "credentials")
    for name, values in _file(path).items():
        if name.startswith("profile "):
            continue
        whole = _ID in values and _SECRET in values
        taken = {key: value for key, value in values.items() if key not in _ATTRS or whole}
        found[name] = {**found[name], **taken} if name in found else values
    return found


def _file(path: str) -> Sections:
    # A pipe might never end, and the SDK would have emptied it.
    if not os.path.isfile(path):
        return {}
    try:
        return read_ini(read_bounded(path, _MAX_FILE).decode("utf-8", "replace"))
    except (OSError, ValueError):
        # As the SDK: a file that cannot be read is an empty one.
        return {}


def read_ini(text: str) -> Sections:
    """Reads a shared file of AWS: section -> key in lower case -> value. What is not understood is left out."""
    found: Sections = {}
    section, last = "", ""
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            continue
        head = line.partition("#")[0].partition(";")[0].strip()
        if head.startswith("[") and head.endswith("]") and len(head) > 1:
            # `[ profile  name ]` is one of type `profile`.
            section, last = " ".join(head[1:-1].split(None, 1)), ""
            found.setdefault(section, {})
            continue
        indented = line[0] in " \t"
        key, value = _property(line)
        if not section or not key or (indented and last and not found[section].get(last, "")):
            continue
        found[section][key] = value
        last = key
    return found


def _property(line: str) -> tuple[str, str]:
    """Key and value of a line; an empty key if it has none."""
    for mark in (" #", " ;", "\t#", "\t;"):
        line = line.partition(mark)[0]
    ends = [at for at in (line.find("="), line.find(":")) if at >= 0]
    if not ends:
        return "", ""
    key, value = line[: min(ends)].strip(), line[min(ends) + 1 :].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return key.lower(), value


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
