"""Flags: how they are written, old ones, empty ones, limits, platforms with versions, Dockerfiles by pipe and URL."""

from __future__ import annotations

from tests.cluster.corpus.row import Row

__all__ = ["ROWS"]

_FILES = {"a.txt": "a", "salt": "SALT"}
_STAGES = "FROM scratch AS one\nCOPY a.txt /one\nFROM scratch AS two\nARG X=none\nLABEL x=$X\nCOPY a.txt /two\n"
_RUN = "FROM BASE\nRUN echo SALT; ulimit -n > /n; cat /etc/hosts > /hosts; df -k /dev/shm > /shm\n"
_OUT = ("-o", "OUT")

ROWS = (
    Row("together", ("-qoOUT", "CONTEXT"), files=_FILES),
    Row("signs", ("-o=OUT", "-f=CONTEXT/Dockerfile", "--target=one", "CONTEXT"), dockerfile=_STAGES, files=_FILES),
    Row("behind", ("CONTEXT", *_OUT, "--target", "one", "--target", "two"), dockerfile=_STAGES, files=_FILES),
    Row("switched-off", ("--push", "--push=false", "--no-cache=1", *_OUT, "CONTEXT"), files=_FILES),
    Row("old", ("--rm", "--force-rm=false", "--compress", "--squash", "--isolation=x", *_OUT, "CONTEXT"), files=_FILES),
    Row("old-security", ("--security-opt", "a,b", *_OUT, "CONTEXT"), files=_FILES),
    Row("old-limits", ("-m", "64m", "-c512", "--cpu-quota=50000", *_OUT, "CONTEXT"), files=_FILES),
    Row("old-limit-wrong", ("-m", "64q", "CONTEXT"), fails=True),
    Row("limit", ("--resource", "memory=64m", "--resource=cpuset-cpus=0", *_OUT, "CONTEXT"), files=_FILES),
    Row("limit-unknown", ("--resource", "disk=1", "CONTEXT"), fails=True),
    Row(
        "empty", ("--no-cache-filter=", "--add-host=", "--cache-from=", "--label", "a=", *_OUT, "CONTEXT"), files=_FILES
    ),
    Row("empty-platform", ("--platform=", "CONTEXT"), fails=True),
    Row("empty-attest", ("--attest=", "CONTEXT"), fails=True),
    Row("empty-size", ("--shm-size=", "CONTEXT"), fails=True),
    Row("empty-tag", ("-t", "", "CONTEXT"), fails=True),
    Row("windows", ("--platform", "windows(10.0.17763+win32k)/amd64", "-t", "TAG", "--push", "CONTEXT"), files=_FILES),
    Row("windows-wrong", ("--platform", "windows(1%zz)/amd64", "CONTEXT"), fails=True),
    Row("unknown-short", ("-z", "CONTEXT"), fails=True),
    Row("no-value", ("CONTEXT", "-t"), fails=True),
    Row("quiet-plain", ("-q", "--progress=plain", "CONTEXT"), fails=True),
    Row("two-mistakes", ("--platform", "foo", "--no-cache", "--no-cache-filter", "a", "CONTEXT"), fails=True),
    Row("pipe", ("-f", "-", *_OUT, "CONTEXT"), stdin=b"FROM scratch\nCOPY a.txt /b\n", files=_FILES),
    Row("pipe-alone", ("-t", "TAG", "--push", "-"), stdin=b"FROM scratch\nLABEL a=b\n"),
    Row("pipe-twice", ("-f", "-", "-"), stdin=b"FROM scratch\n", fails=True),
    # The registry's answer, `{}`, is what comes as the Dockerfile.
    Row("url-fetched", ("-f", "http://REGISTRY/v2/", "CONTEXT"), fails=True),
    Row("context-fetched", ("http://REGISTRY/v2/",), fails=True),
    Row("url-nowhere", ("-f", "http://127.0.0.1:1/Dockerfile", "CONTEXT"), fails=True),
    Row("context-nowhere", ("http://127.0.0.1:1/context.tgz",), fails=True),
    Row("git-nowhere", ("http://127.0.0.1:1/repo.git#main:sub",), fails=True),
    Row(
        "steps",
        (
            "--ulimit",
            "nofile=99:100",
            "--add-host",
            "db:10.0.0.7",
            "--shm-size",
            "8m",
            "-t",
            "TAG",
            "--push",
            "CONTEXT",
        ),
        dockerfile=_RUN,
    ),
)
