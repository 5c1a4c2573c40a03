"""The comment of a pull request, or an issue, on GitHub and GitLab: made once, then updated.

GitHub: REST API 2022-11-28, issues and issue comments. GitLab: REST API v4, notes and issues.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import urllib3

from buildclient.net.proxy import pool, proxy_for

__all__ = ["ACTIONS_BOT", "Github", "Gitlab", "Host", "HostError", "Posted"]

ACTIONS_BOT = "github-actions[bot]"
"""As whom the token of a job in GitHub Actions writes."""
_TIMEOUT = 30.0
_PAGES = 50
"""Of a hundred comments each; a thread that is longer gets a new comment."""


class HostError(Exception):
    """The code host refused, or cannot be reached."""


class Posted(NamedTuple):
    """What became of a comment or an issue."""

    done: str
    """`created`, `updated`, `closed` or `unchanged`."""
    url: str = ""


class Host(Protocol):
    """A code host."""

    limit: int
    """Characters of a comment."""

    def comment(self, number: int, marker: str, body: str) -> Posted:
        """Write the body into the comment of a pull request that begins with `marker`. Raises HostError."""

    def issue(self, title: str, marker: str, body: str | None) -> Posted:
        """Write the body into the open issue that begins with `marker`; None closes it. Raises HostError."""


class _Api:
    """Requests with JSON to one host."""

    def __init__(self, base: str, headers: Mapping[str, str], environ: Mapping[str, str], hint: str) -> None:
        if not base.startswith(("https://", "http://")):
            raise HostError(f"{base or 'the API'} is no http(s) address")
        self._base, self._hint = base.rstrip("/"), hint
        self._headers = {"User-Agent": "buildkit-builders", "Content-Type": "application/json", **headers}
        # A POST whose answer was lost may have made its comment, so it is sent again only where it did not arrive.
        again = ("GET", "PATCH", "PUT")
        retries = urllib3.Retry(
            3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), allowed_methods=again, redirect=0,
            raise_on_status=False,
        )  # fmt: skip
        self._pool = pool(proxy_for(self._base, "", environ), timeout=_TIMEOUT, retries=retries)

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer. Raises HostError."""
        url = self._base + path
        try:
            data = None if body is None else json.dumps(body).encode()
            answer = self._pool.request(method, url, body=data, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise HostError(f"cannot reach {self._base}: {error}") from None
        if answer.status >= 300:
            raise HostError(self._refused(method, path, answer))
        try:
            return json.loads(answer.data)
        except ValueError:
            raise HostError(f"{method} {path}: the answer is no JSON; is {self._base} the API?") from None

    def _refused(self, method: str, path: str, answer: urllib3.BaseHTTPResponse) -> str:
        try:
            told = json.loads(answer.data)
            said = str(told.get("message") or told.get("error") or "") if isinstance(told, dict) else ""
        except ValueError:
            said = ""
        hint = f"; {self._hint}" if answer.status in (401, 403, 404) else ""
        return f"{method} {path}: status {answer.status}{f': {said[:200]}' if said else ''}{hint}"

    def pages(self, path: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """All items of a list, page by page."""
        for page in range(1, _PAGES + 1):
            items = self("GET", f"{path}?{urlencode({**query, 'per_page': '100', 'page': str(page)})}")
            if not isinstance(items, list):
                raise HostError(f"GET {path}: the answer is no list")
            yield from (one for one in items if isinstance(one, dict))
            if len(items) < 100:
                return


def _is_ours(item: Mapping[str, Any], text: str, marker: str, by: str, author: object) -> bool:
    """Whether it begins with the marker, and the token's user wrote it: anyone may copy a marker."""
    writer = item.get(by)
    name = writer.get("login" if by == "user" else "id") if isinstance(writer, Mapping) else None
    return str(item.get(text) or "").startswith(marker) and name == author


class Github:
    """Comments and issues of one repository, `owner/name`."""

    limit = 65_536

    def __init__(
        self, repository: str, token: str, environ: Mapping[str, str], api: str = "", author: str = ACTIONS_BOT
    ) -> None:
        """`author` is the login of the token's user: GitHub does not tell it to the token of a job."""
        hint = "the job's token needs permissions pull-requests: write and issues: write"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        headers["X-GitHub-Api-Version"] = "2022-11-28"
        self._api = _Api(api or "https://api.github.com", headers, environ, hint)
        self._repository = f"/repos/{quote(repository)}"
        self._author = author

    def comment(self, number: int, marker: str, body: str) -> Posted:
        """See Host."""
        thread = f"{self._repository}/issues/{number}/comments"
        for one in self._api.pages(thread):
            if _is_ours(one, "body", marker, "user", self._author):
                if one.get("body") == body:
                    return Posted("unchanged", str(one.get("html_url", "")))
                made = self._api("PATCH", f"{self._repository}/issues/comments/{one['id']}", {"body": body})
                return Posted("updated", str(made.get("html_url", "")))
        made = self._api("POST", thread, {"body": body})
        return Posted("created", str(made.get("html_url", "")))

    def issue(self, title: str, marker: str, body: str | None) -> Posted:
        """See Host."""
        issues = f"{self._repository}/issues"
        for one in self._api.pages(issues, state="open"):
            if "pull_request" not in one and _is_ours(one, "body", marker, "user", self._author):
                path = f"{issues}/{one['number']}"
                if body is not None and one.get("body") == body:
                    return Posted("unchanged", str(one.get("html_url", "")))
                change = {"state": "closed"} if body is None else {"title": title, "body": body}
                made = self._api("PATCH", path, change)
                return Posted("closed" if body is None else "updated", str(made.get("html_url", "")))
        if body is None:
            return Posted("unchanged")
        made = self._api("POST", issues, {"title": title, "body": body})
        return Posted("created", str(made.get("html_url", "")))


class Gitlab:
    """Notes and issues of one project, by its number or path."""

    limit = 1_000_000

    def __init__(self, project: str, token: str, environ: Mapping[str, str], api: str = "") -> None:
        hint = "GITLAB_TOKEN must be a project access token with scope api"
        self._api = _Api(api or "https://gitlab.com/api/v4", {"PRIVATE-TOKEN": token}, environ, hint)
        self._project = f"/projects/{quote(project, safe='')}"

    @functools.cache  # noqa: B019 (one object a command)
    def _user(self) -> object:
        return self._api("GET", "/user").get("id")

    def comment(self, number: int, marker: str, body: str) -> Posted:
        """See Host."""
        thread = f"{self._project}/merge_requests/{number}/notes"
        for one in self._api.pages(thread, sort="asc"):
            if not one.get("system") and _is_ours(one, "body", marker, "author", self._user()):
                if one.get("body") == body:
                    return Posted("unchanged")
                self._api("PUT", f"{thread}/{one['id']}", {"body": body})
                return Posted("updated")
        self._api("POST", thread, {"body": body})
        return Posted("created")

    def issue(self, title: str, marker: str, body: str | None) -> Posted:
        """See Host."""
        issues = f"{self._project}/issues"
        for one in self._api.pages(issues, state="opened"):
            if _is_ours(one, "description", marker, "author", self._user()):
                if body is not None and one.get("description") == body:
                    return Posted("unchanged", str(one.get("web_url", "")))
                change = {"state_event": "close"} if body is None else {"title": title, "description": body}
                made = self._api("PUT", f"{issues}/{one['iid']}", change)
                return Posted("closed" if body is None else "updated", str(made.get("web_url", "")))
        if body is None:
            return Posted("unchanged")
        made = self._api("POST", issues, {"title": title, "description": body})
        return Posted("created", str(made.get("web_url", "")))
