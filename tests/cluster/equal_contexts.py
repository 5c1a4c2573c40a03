"""Contexts of many kinds, for builds by docker buildx and by ours that have to give the same image.

Each is a name, a Dockerfile and what is planted beside it; `FILES` is a small tree that ignore patterns are tried on.
"""

from __future__ import annotations

import io
import os
import random
import socket
import stat as st
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["CASES", "FAILING", "FILES", "Case", "Plot"]

FILES = [
    "a/b/c.txt",
    "a/b/d.go",
    "a/keep/x",
    "node_modules/x/y",
    "src/node_modules/z",
    "src/m.go",
    ".hid/x",
    "README.md",
    "x.log",
    "l/x.log",
    "é/ü.txt",
    "a.b",
    "c/[x]/y",
    "Dockerfile.dev",
    "foo bar/q",
]
_ALL = "FROM scratch\nCOPY . /\n"


class Plot:
    """A folder that things are planted in; names are text or raw bytes."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)

    def path(self, name: str | bytes) -> bytes:
        """The full path; the folder above is made."""
        path = os.path.join(self._root, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def file(
        self, name: str | bytes, data: bytes | str = b"x", mode: int | None = None, mtime: int | None = None
    ) -> None:
        """A file; `mtime` in nanoseconds."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            os.chmod(path, mode)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))

    def files(self, *names: str | bytes) -> None:
        """Files that hold their own names."""
        for name in names:
            self.file(name, os.fsencode(name))

    def link(self, name: str | bytes, target: str | bytes) -> None:
        """A symbolic link."""
        os.symlink(os.fsencode(target), self.path(name))

    def hard(self, source: str, *names: str) -> None:
        """Hard links to a file."""
        for name in names:
            os.link(self.path(source), self.path(name), follow_symlinks=False)


Plant = Callable[[Plot], None]


class Case(NamedTuple):
    """One build."""

    name: str
    dockerfile: str | None
    """None: there is none."""
    plant: Plant
    ignore: str | bytes | None = None
    flags: tuple[str, ...] = ()
    """Flags besides; `CONTEXT` stands for the context's folder."""
    context: str = "CONTEXT"
    """What is given as the context."""


def _names(plot: Plot) -> None:
    odd = [
        b"a b",
        b"a\nb",
        b"\xff\xfe",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        b"-x",
        b"*",
        b"[a]",
        b"a\\b",
        b"\x01",
        b"\xc3",
    ]
    odd += [b"~", b"%41", b"+", b"a+b%20", b"'\"", b"x" * 255, b"...", b". ", b"\x7f", b"\xf0\x9f\x98\x80"]
    for name in odd:
        plot.files(name, b"d" + name[:200] + b"/" + name)


def _order(plot: Plot) -> None:
    plot.files("a/x", "a-b", "a.b", "a0", "ab/x", "A", "a b/x", "a!/x", b"\xff", b"\x01/x")


def _symlinks(plot: Plot) -> None:
    plot.file("d/f")
    targets = {
        "l1": "d/f",
        "l2": "/d/f",
        "l3": "../../etc/passwd",
        "l4": "l4",
        "l5": "missing",
        "l6": "d",
        "d/up": "..",
    }
    for name, target in {**targets, "l7": "/", "l8": "./d/../d/f", b"l\xff": b"\xfe/x"}.items():
        plot.link(name, target)


def _followed(plot: Plot) -> None:
    plot.files("real/f", "real/g", "other/h")
    for name, target in {
        "l": "real",
        "abs": "/real/f",
        "chain": "l2",
        "l2": "l/f",
        "w1": "real/f",
        "w2": "/other",
    }.items():
        plot.link(name, target)


def _hard(plot: Plot) -> None:
    plot.files("a/1", "ignored/0")
    plot.hard("a/1", "a/2", "b")
    plot.hard("ignored/0", "k/1", "k/2")
    plot.link("s1", "x")
    plot.hard("s1", "s2")
    os.mkfifo(plot.path("p1"))
    plot.hard("p1", "p2")


def _modes(plot: Plot) -> None:
    for mode in (0o000, 0o4755, 0o2755, 0o1777, 0o7777, 0o600, 0o444, 0o777):
        plot.file(f"f{mode:o}", mode=mode)
        plot.file(f"d{mode:o}/f")
        os.chmod(plot.path(f"d{mode:o}"), mode)
    os.chown(plot.path("f600"), 1234, 777)


def _special(plot: Plot) -> None:
    os.mkfifo(plot.path("fifo"), 0o640)
    os.mknod(plot.path("null"), 0o600 | st.S_IFCHR, os.makedev(1, 3))
    os.mknod(plot.path("block"), 0o660 | st.S_IFBLK, os.makedev(259, 70_000))
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's path may be short only.
        os.chdir(os.path.dirname(plot.path("socket")))
        try:
            server.bind("socket")
        finally:
            os.chdir(here)


def _sizes(plot: Plot) -> None:
    chance = random.Random(1)
    for size in (0, 1, 262_143, 262_144, 262_145, 1 << 20, 5_000_000):
        plot.file(f"s{size}", chance.randbytes(size))


def _sparse(plot: Plot) -> None:
    with open(plot.path("sparse"), "wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"hello")


def _xattrs(plot: Plot) -> None:
    plot.files("f", "d/g")
    for name, key, value in (
        ("f", "user.a", b"1"),
        ("f", "user.empty", b""),
        ("f", "user.bin", b"\0\xff"),
        ("d", "user.d", b"d"),
    ):
        os.setxattr(plot.path(name), key, value)
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(plot.path("f"), "security.capability", capability)


def _times(plot: Plot) -> None:
    for name, mtime in {
        "zero": 0,
        "before": -1_500_000_000,
        "exact": 1_600_000_000_123_456_789,
        "late": 4_102_444_800_000_000_001,
    }.items():
        plot.file(name, mtime=mtime)
        plot.file(f"d{name}/f", mtime=mtime)
        os.utime(plot.path(f"d{name}"), ns=(mtime, mtime))


def _many(count: int) -> Plant:
    def plant(plot: Plot) -> None:
        for number in range(count):
            plot.file(f"d{number % 97}/e{number % 7}/f{number}", f"{number}\n")

    return plant


def _deep(plot: Plot) -> None:
    plot.files("/".join(["d"] * 200 + ["f"]))


def _standard(plot: Plot) -> None:
    plot.files(*FILES)


def _nothing(plot: Plot) -> None:
    pass


def _outside(plot: Plot) -> None:
    _standard(plot)
    plot.file("../outside/My.df", "FROM scratch\nCOPY a README.md /\n")
    plot.file("../outside/My.df.dockerignore", "**/*.go\n")
    plot.link("inside.df", "../outside/My.df")


def _linked_context(plot: Plot) -> None:
    _standard(plot)
    plot.link("../linked", "context")


def _mounted(plot: Plot) -> None:
    _standard(plot)
    for folder, folders, files in os.walk(plot.path(".")):
        for name in (*folders, *files):
            os.utime(os.path.join(folder, name), (1_600_000_000, 1_600_000_000))


def _archives(plot: Plot) -> None:
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        with tarfile.open(os.fsdecode(plot.path(name)), mode) as archive:  # type: ignore[call-overload]
            for number, inner in enumerate(("d/f", "d/é", f"{mode[-1]}/g")):
                member = tarfile.TarInfo(inner)
                member.size, member.mtime, member.uid = 3, 1_600_000_000 + number, 1000
                archive.addfile(member, io.BytesIO(b"abc"))


def _linked_dockerfile(plot: Plot) -> None:
    _standard(plot)
    plot.file("real.df", _ALL)
    plot.link("linked.df", "real.df")


def _own_ignore(plot: Plot) -> None:
    _standard(plot)
    plot.file("x.df", _ALL)
    plot.file("x.df.dockerignore", "a\n")


def _lower_case(plot: Plot) -> None:
    _standard(plot)
    plot.file("dockerfile", _ALL)


def _other(plot: Plot) -> None:
    _standard(plot)
    plot.files("../other/é", "../other/k")


_IGNORES: dict[str, str | bytes] = {
    "suffix": "*.log\n**/node_modules\n",
    "all-but": "*\n!a\n!src/m.go\n",
    "folder-but": "a\n!a/keep\n",
    "all-but-deep": "**\n!**/*.go\n",
    "comments": "# c\n\n  /a/b  \nfoo bar\n",
    "star-folder": "*/b\n!a/b/c.txt\n",
    "letters": "é\n",
    "itself": "Dockerfile\n.dockerignore\n",
    "all-below": "**/*\n!README.md\n",
    "hidden": ".*\n",
    "bracket": "c/[[]x]\n",
    "middle": "a/**/c.txt\n!**/c.txt\n",
    "outside": "..\n../x\n/\n",
    "bom": "\ufeff*.md\n",
    "slash": "a/b/\n",
    "order": "!x\n*.txt\n",
    "question": "?.?\n",
    "escape": "c/\\[x\\]\n",
    "folders-only": "*\n!*/\n",
    "raw": b"\xff\n*.go\r\n",
    "range": "[a-c]*\n![b-c]/**\n",
    "repetition": "{a,b}\na{1}\nsrc|l\n",
}

CASES: tuple[Case, ...] = (
    Case("names", _ALL, _names),
    Case("order", _ALL, _order),
    Case("symlinks", _ALL, _symlinks),
    Case(
        "followed",
        "FROM scratch\nCOPY l /l\nCOPY l/f /lf\nCOPY abs /abs\nCOPY chain /chain\nCOPY w* /w/\nCOPY l/* /w2/\n",
        _followed,
    ),
    Case("hard-links", _ALL, _hard, "ignored\n"),
    Case("modes", _ALL, _modes),
    Case("special", _ALL, _special),
    Case("sizes", _ALL, _sizes),
    Case("sparse", _ALL, _sparse),
    Case("xattrs", _ALL, _xattrs),
    Case("times", _ALL, _times),
    Case("deep", _ALL, _deep),
    Case("nothing", "FROM scratch\nLABEL a=b\n", _nothing),
    Case("files-3000", _ALL, _many(3_000)),
    Case("files-20000", _ALL, _many(20_000)),
    *(Case(f"ignore-{name}", _ALL, _standard, text) for name, text in _IGNORES.items()),
    Case(
        "copy-globs",
        "FROM scratch\nCOPY a/*/c.txt /1/\nCOPY ?.b /2/\nCOPY [R]*.md /3/\nCOPY c/[[]x] /4/\n"
        'COPY .hid foo* /5/\nCOPY ["foo bar/q", "/6/"]\n',
        _standard,
    ),
    Case("copy-parents", "FROM scratch\nCOPY --parents a/*/c.txt src /p/\nCOPY --parents ./a/./b /q/\n", _standard),
    Case("copy-exclude", "FROM scratch\nCOPY --exclude=*.go --exclude=keep a /a\n", _standard),
    Case(
        "copy-flags",
        "FROM scratch\nCOPY --chmod=751 README.md /r\nCOPY --chown=3:4 a.b /o\nCOPY --link a/keep /k/\nADD x.log /x/\n",
        _standard,
    ),
    Case("heredoc", "FROM scratch\nCOPY <<EOF /h\nhi $PATH\nEOF\nCOPY <<'A' <<B /two/\na\nA\nb\nB\n", _nothing),
    Case(
        "stages",
        "FROM scratch AS one\nCOPY a /a\nFROM scratch AS unused\nCOPY x.log /\nFROM one\nCOPY --from=one /a/b /again\n",
        _standard,
    ),
    Case("target", "FROM scratch AS one\nCOPY a /a\nFROM scratch\nCOPY l /l\n", _standard, None, ("--target", "one")),
    Case(
        "config",
        "ARG V=1\nFROM scratch\nARG V\nARG W=2\nENV A=$V B=${W:-3}\nWORKDIR /w/$W\nUSER 1:2\nEXPOSE 80 81/udp\n"
        'VOLUME /v\nENTRYPOINT ["a"]\nCMD b\nSTOPSIGNAL 9\nHEALTHCHECK --interval=3s CMD x\nLABEL l="$V $W"\n'
        'SHELL ["s"]\nONBUILD COPY . /\n',
        _nothing,
        None,
        ("--build-arg", "V=7", "--label", "k=v w", "--annotation", "manifest:n=m"),
    ),
    Case("run", "FROM BASE\nCOPY a /a\nRUN find /a -type f | sort > /list && ln /list /hard\n", _standard),
    Case("outside", None, _outside, None, ("-f", "CONTEXT/../outside/My.df")),
    Case("linked-dockerfile", None, _linked_dockerfile, None, ("-f", "CONTEXT/linked.df")),
    Case(
        "own-ignore",
        None,
        _own_ignore,
        "*\n",
        ("-f", "CONTEXT/x.df"),
    ),
    Case(
        "lower-case",
        None,
        _lower_case,
    ),
    Case("linked-context", _ALL, _linked_context, context="CONTEXT/../linked"),
    Case(
        "platform-args",
        "FROM BASE\nARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\n"
        "RUN echo $TARGETPLATFORM $TARGETARCH $BUILDPLATFORM $(uname -m) >/platforms\n",
        _nothing,
        None,
        ("--platform", "linux/amd64"),
    ),
    Case("add-tar", "FROM scratch\nADD a.tar a.tar.gz /into/\nCOPY a.tar /as-it-is/\n", _archives),
    Case(
        "mounts",
        "FROM BASE\nRUN --mount=type=bind,target=/c --mount=type=tmpfs,target=/t "
        "ls -lR --full-time /c/a /c/src >/list && echo $SOURCE_DATE_EPOCH >>/list\n",
        _mounted,
    ),
    Case("workdirs", "FROM BASE\nWORKDIR /a/b\nWORKDIR ../c\nUSER 7:8\nWORKDIR d\nCOPY a.b ./\n", _standard),
    Case(
        "named-context",
        "FROM scratch\nCOPY --from=other . /o/\nCOPY a.b /\n",
        _other,
        None,
        ("--build-context", "other=CONTEXT/../other"),
    ),
)

FAILING: tuple[Case, ...] = (
    Case("step", "FROM BASE\nRUN echo no && exit 7\n", _nothing),
    Case("missing-file", "FROM scratch\nCOPY nothing-there /\n", _standard),
    Case("ignored-file", "FROM scratch\nCOPY x.log /\n", _standard, "*.log\n"),
    Case("syntax", "FROM scratch\nCPY a b\n", _nothing),
    Case("no-such-stage", "FROM scratch\n", _nothing, None, ("--target", "nope")),
    Case("copy-no-such-stage", "FROM scratch\nCOPY --from=nope.invalid/x a /\n", _nothing),
    Case("no-dockerfile", None, _standard),
    Case("empty-dockerfile", "", _nothing),
    Case("missing-base", "FROM REGISTRY/nothing/there:1\n", _nothing),
    Case("wrong-tag", "FROM scratch\n", _nothing, None, ("-t", "Wrong:Tag:x")),
    Case("wrong-platform", "FROM scratch\n", _nothing, None, ("--platform", "linux/a/b/c/d")),
    Case("wrong-output", "FROM scratch\n", _nothing, None, ("-o", "type=nope")),
    Case("output-without-dest", "FROM scratch\n", _nothing, None, ("-o", "type=local")),
    Case("output-into-a-file", "FROM scratch\n", _standard, None, ("-o", "type=local,dest=CONTEXT/a.b")),
    Case("ignore-pattern", _ALL, _standard, "a/[\n"),
    Case("late-ignore-pattern", _ALL, _standard, "[z-a]\n"),
    Case("copy-pattern", "FROM scratch\nCOPY a*[ /\n", _standard),
    Case("link-upwards", "FROM scratch\nCOPY up /\n", lambda plot: plot.link("up", "../somewhere")),
    Case("no-dockerfile-folder", _ALL, _nothing, None, ("-f", "nope/Dockerfile")),
    Case("named-context-missing", _ALL, _nothing, None, ("--build-context", "x=nope")),
    Case(
        "registry",
        "FROM scratch\nCOPY Dockerfile /\n",
        _nothing,
        None,
        ("-o", "type=image,push=true,name=127.0.0.1:9/x"),
    ),
)
