"""Which code host a job runs for, and which pull request: from the variables that GitHub Actions and GitLab CI set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from buildkit_builders.review.hosts import ACTIONS_BOT, Github, Gitlab, Host, HostError

__all__ = ["Surroundings", "job_link", "surroundings"]


class Surroundings(NamedTuple):
    """Where a job writes to."""

    host: Host
    number: int | None
    """The pull request's or merge request's; None for a job that runs for none."""


def surroundings(environ: Mapping[str, str], author: str = "") -> Surroundings:
    """From the job's variables and its token, GITHUB_TOKEN or GITLAB_TOKEN. Raises HostError for what is missing."""
    if environ.get("GITHUB_ACTIONS"):
        host: Host = Github(
            _needed(environ, "GITHUB_REPOSITORY"),
            _needed(environ, "GITHUB_TOKEN", " (env: GITHUB_TOKEN: ${{ github.token }})"),
            environ,
            environ.get("GITHUB_API_URL", ""),
            author or ACTIONS_BOT,
        )
        return Surroundings(host, _github_number(environ.get("GITHUB_EVENT_PATH", "")))
    if environ.get("GITLAB_CI"):
        token = _needed(
            environ, "GITLAB_TOKEN", " (a project access token with scope api; a job's own may not comment)"
        )
        host = Gitlab(_needed(environ, "CI_PROJECT_ID"), token, environ, environ.get("CI_API_V4_URL", ""))
        number = environ.get("CI_MERGE_REQUEST_IID", "")
        return Surroundings(host, int(number) if number.isdecimal() else None)
    raise HostError("this is no job of GitHub Actions or GitLab CI; --print writes the Markdown to standard output")


def job_link(environ: Mapping[str, str]) -> str:
    """The address of the job; empty if it is not told."""
    if environ.get("GITHUB_ACTIONS") and environ.get("GITHUB_RUN_ID"):
        server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{environ['GITHUB_RUN_ID']}"
    return environ.get("CI_JOB_URL", "")


def _needed(environ: Mapping[str, str], name: str, hint: str = "") -> str:
    if not (value := environ.get(name, "")):
        raise HostError(f"{name} is not set{hint}")
    return value


def _github_number(event: str) -> int | None:
    try:
        found = json.loads(Path(event).read_text()) if event else {}
        number = found.get("pull_request", {}).get("number")
    except (OSError, ValueError, AttributeError) as error:
        raise HostError(f"GITHUB_EVENT_PATH: {event}: {error}") from None
    return number if isinstance(number, int) else None
