"""A small GitHub and GitLab on the loopback: the part of their REST APIs that comments and issues need.

Written from their references (GitHub: REST API endpoints for issue comments, for issues; GitLab: Notes API,
Issues API). Lists come in pages; a token that is not the right one is refused, and so is a body that is too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.jsonserver import JsonHandler, served

__all__ = ["GITHUB_BOT", "TOKEN", "CodeHost", "code_host"]

TOKEN = "token-of-the-job"
GITHUB_BOT = {"login": "github-actions[bot]"}
_GITLAB_BOT = {"id": 7}
_LONGEST = 65_536
_THREADS = re.compile(r"/repos/org/claims/issues/(\d+)/comments|/projects/42/merge_requests/(\d+)/notes")
_COMMENT = re.compile(r"/repos/org/claims/issues/comments/(\d+)|/projects/42/merge_requests/\d+/notes/(\d+)")
_ISSUES = re.compile(r"/repos/org/claims/issues|/projects/42/issues")
_ISSUE = re.compile(r"/repos/org/claims/issues/(\d+)|/projects/42/issues/(\d+)")


class CodeHost:
    """What is stored, and what was asked."""

    def __init__(self) -> None:
        self.comments: dict[int, list[dict[str, Any]]] = {}
        """By the number of the thread."""
        self.issues: list[dict[str, Any]] = []
        self.requests: list[str] = []
        """Method and path of each."""
        self.failing: list[int] = []
        """Statuses of the next answers."""
        self.url = ""

    def add(self, number: int, body: str, **more: Any) -> dict[str, Any]:
        """A comment of the job's own user, or of the one in `more`."""
        thread = self.comments.setdefault(number, [])
        identity = 1000 * number + len(thread)
        made = {"id": identity, "body": body, "user": GITHUB_BOT, "author": _GITLAB_BOT, **more}
        thread.append({**made, "html_url": f"https://host.example/{number}#{identity}"})
        return thread[-1]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and JSON of one request."""
        if self.failing:
            return self.failing.pop(0), {"message": "Resource not accessible by integration"}
        if isinstance(body, dict) and len(body.get("body", body.get("description", ""))) > _LONGEST:
            return 422, {"message": "Body is too long"}
        if path == "/user":
            return 200, _GITLAB_BOT
        if found := _THREADS.fullmatch(path):
            number = int(found[1] or found[2])
            if method == "POST":
                return 201, self.add(number, body["body"])
            return 200, _page(self.comments.get(number, []), query)
        if (found := _COMMENT.fullmatch(path)) and method in ("PATCH", "PUT"):
            identity = int(found[1] or found[2])
            one = next(one for thread in self.comments.values() for one in thread if one["id"] == identity)
            one.update(body)
            return 200, one
        if _ISSUES.fullmatch(path):
            return self._issues(method, query, body)
        if (found := _ISSUE.fullmatch(path)) and method in ("PATCH", "PUT"):
            one = self.issues[int(found[1] or found[2]) - 1]
            one.update(body)
            if body.get("state_event") == "close":
                one["state"] = "closed"
            return 200, one
        return 404, {"message": "Not Found"}

    def _issues(self, method: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method == "POST":
            number = len(self.issues) + 1
            made = {"number": number, "iid": number, "state": "open", "user": GITHUB_BOT, "author": _GITLAB_BOT}
            self.issues.append({**made, **body})
            return 201, self.issues[-1]
        return 200, _page([one for one in self.issues if one["state"] == "open"], query)


def _page(items: list[dict[str, Any]], query: dict[str, list[str]]) -> list[dict[str, Any]]:
    size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
    return items[(page - 1) * size : page * size]


@contextmanager
def code_host() -> Iterator[CodeHost]:
    """A host that serves until the end."""
    host = CodeHost()

    class Handler(JsonHandler):
        def _serve(self) -> None:
            address = urlsplit(self.path)
            body = self.asked()
            host.requests.append(f"{self.command} {address.path}")
            known = (f"Bearer {TOKEN}", TOKEN)
            if (self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN")) not in known:
                status, answer = 401, {"message": "Bad credentials"}
            else:
                status, answer = host.answer(self.command, address.path, parse_qs(address.query), body)
            self.answer(status, answer)

        do_GET = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815

    with served(Handler) as address:
        host.url = f"http://{address}"
        yield host
