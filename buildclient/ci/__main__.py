"""`python -m buildclient.ci`: a step of a GitHub job.

Inputs come from the environment, results go to the runner's files. It ends with the exit status of `buildclient build`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from typing import TextIO

from buildclient.api import Builder
from buildclient.base.errors import BuildFailed, ClientError, UsageError
from buildclient.base.oserrors import reason
from buildclient.ci.inputs import PREFIX, Inputs
from buildclient.ci.summary import markdown
from buildclient.ci.workflow import annotation, append, error_line, output_text, print_apart, warning_annotations
from buildclient.cli.running import cancelled_build, run
from buildclient.progress.display import Display, shown
from buildclient.progress.summary import summarize
from buildclient.progress.terminal import choose_mode, open_display
from buildclient.request.values import BuildRequest, BuildResult

__all__ = ["main"]

_OFF = ("false", "0")


def main(environ: MutableMapping[str, str], out: TextIO) -> int:
    """Builds; returns the exit status. The inputs are taken out of `environ`: no program that is started sees them."""
    inputs = Inputs({**environ})
    for name in [name for name in environ if name.startswith(PREFIX)]:
        del environ[name]
    try:
        with _kubeconfig(inputs.text("kubeconfig"), environ):
            return _Step(inputs, environ, out).run()
    except ClientError as error:
        return _said(error, out)


class _Step:
    def __init__(self, inputs: Inputs, environ: MutableMapping[str, str], out: TextIO) -> None:
        self._inputs, self._environ, self._out = inputs, environ, out
        self._display = Display(sys.stderr)

    def run(self) -> int:
        try:
            request = self._inputs.request()
            mode = choose_mode("", self._environ, False)
            self._display = open_display(mode, sys.stderr, self._environ, summary=not request.call)
            builder = Builder(self._inputs.where(), environ=self._environ)
            result = run(self._built(builder, request), cancelled_build())
            status = self._answered(request, result)
        except (ClientError, OSError) as caught:
            error = caught if isinstance(caught, ClientError) else _of_system(caught)
            self._annotate(error)
            self._summarize(error=error)
            return _said(error, self._out)
        self._annotate()
        self._summarize(result)
        append(self._environ.get("GITHUB_OUTPUT", ""), output_text(_outputs(result)))
        return status

    async def _built(self, builder: Builder, request: BuildRequest) -> BuildResult:
        async with shown(self._display):
            output = await builder.output_async()
            self._display.describe(
                output.name, "remote" if all(node.address for node in output.nodes) else "kubernetes"
            )
            return await builder.build_async(request, self._display.feed)

    def _answered(self, request: BuildRequest, result: BuildResult) -> int:
        """Prints what the frontend answered to `call`; its status."""
        if not (method := self._inputs.call()):
            return 0
        from buildclient.results.subrequest_text import answer_text, check_error_text
        from buildclient.results.subrequests import read_check

        response = result.nodes[0].response
        name = request.dockerfile or "Dockerfile"
        print_apart(answer_text(method, response, name), self._out)
        if method.name == "lint" and (why := check_error_text(read_check(response), name)):
            raise BuildFailed(why)
        status = response.get("result.statuscode", "")
        return 1 if not method.ignore_status and status not in ("", "0") else 0

    def _annotate(self, error: ClientError | None = None) -> None:
        try:
            file = self._inputs.dockerfile()
        except UsageError:
            file = ""
        lines: list[str] = []
        if self._environ.get("DOCKER_BUILD_CHECKS_ANNOTATIONS", "").lower() not in _OFF:
            lines += warning_annotations(self._display.progress.warnings, file)
        if error is not None:
            line = error_line(error.sources) if isinstance(error, BuildFailed) else 0
            lines.append(annotation("error", str(error), file=file if line else "", line=line))
        for text in lines:
            print(text, file=self._out, flush=True)

    def _summarize(self, result: BuildResult | None = None, error: ClientError | None = None) -> None:
        if self._environ.get("DOCKER_BUILD_SUMMARY", "").lower() in _OFF:
            return
        progress = self._display.progress
        failed = progress.failed()
        text = markdown(
            self._title(),
            summarize(progress, self._display.seconds()),
            error=str(error) if error else "",
            sources=error.sources if isinstance(error, BuildFailed) else (),
            log=failed[0].log if failed else (),
            digest=result.digest if result else "",
            closer=self._closer() if failed else "",
        )
        append(self._environ.get("GITHUB_STEP_SUMMARY", ""), text)

    def _title(self) -> str:
        try:
            tags, target = self._inputs.items("tags"), self._inputs.text("target")
            return f"Build of {tags[0] if tags else target or self._inputs.dockerfile() or 'an image'}"
        except UsageError:  # The error of the step may be that an input is wrong.
            return "Build"

    def _closer(self) -> str:
        from buildclient.cli.closer import closer_look

        builder = self._inputs.text("builder")
        flag = "--addr" if "://" in builder else "--from-cluster"
        return closer_look(self._display.progress, f"{flag} {shlex.quote(builder)}")


def _outputs(result: BuildResult) -> dict[str, str]:
    from buildclient.results.metadata import metadata_text

    return {"imageid": result.image_id, "digest": result.digest, "metadata": metadata_text(dict(result.metadata))}


def _of_system(error: OSError) -> ClientError:
    return ClientError(f"{error.filename}: {reason(error)}" if error.filename is not None else reason(error))


def _said(error: ClientError, out: TextIO) -> int:
    sources = error.sources if isinstance(error, BuildFailed) else ()
    print_apart("".join(f"{source}\n" for source in sources) + f"ERROR: {error}", out)
    return error.exit_status


@contextlib.contextmanager
def _kubeconfig(text: str, environ: MutableMapping[str, str]) -> Iterator[None]:
    """Keeps the kubeconfig that is an input in a file that this user alone can read, while the build lasts."""
    if not text:
        yield
        return
    with tempfile.TemporaryDirectory(dir=environ.get("RUNNER_TEMP") or None) as folder:
        path = os.path.join(folder, "kubeconfig")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        environ["KUBECONFIG"] = path
        yield


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.stdout))
