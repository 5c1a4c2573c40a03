"""Secrets, SSH agents, and caches with credentials."""

from __future__ import annotations

from tests.cluster.corpus.row import Row
from tests.cluster.equal_contexts import Plot
from tests.cluster.ssh_agent import ed25519_key, probe, rsa_key

__all__ = ["ROWS"]

_OUT = ("--no-cache", "-o", "OUT", "CONTEXT")


def _copied(run: str) -> str:
    """A Dockerfile whose step writes files below /out, which are the result."""
    salted = "FROM BASE AS one\nCOPY . /context\nRUN mkdir /out; echo SALT >/out/salt\n"
    return f"{salted}{run}\nFROM scratch\nCOPY --from=one /out /\n"


_SECRET = _copied("RUN --mount=type=secret,id=a cp /run/secrets/a /out/; ls -ln /run/secrets/a | cut -c1-30 >/out/ls")
_REQUIRED = _copied("RUN --mount=type=secret,id=a,required true")
_OPTIONAL = _copied("RUN --mount=type=secret,id=a ls /run/secrets >/out/ls 2>&1 || true")
_VARIABLE = _copied('RUN --mount=type=secret,id=a,env=A printf "%s" "$A" >/out/a')
_PLACED = _copied(
    "RUN --mount=type=secret,id=a,target=/etc/a,mode=0640,uid=7 ls -ln /etc/a | cut -c1-20 >/out/ls; cp /etc/a /out"
)
_SSH = _copied("RUN --mount=type=ssh,required /context/probe 20 >/out/said")
_SSH_ID = _copied("RUN --mount=type=ssh,id=deploy,required /context/probe 1 >/out/said")
_SSH_OPTIONAL = _copied('RUN --mount=type=ssh echo "${SSH_AUTH_SOCK:-none}" >/out/said')
_NEVER = "FROM scratch\n"


def _large(plot: Plot) -> None:
    plot.file("../big", bytes(512_001))
    plot.file("../fit", bytes(512_000))


def _keys(plot: Plot) -> None:
    plot.file("probe", probe(), mode=0o755)
    plot.file("../ed", ed25519_key())
    plot.file("../rsa", rsa_key())
    plot.file("../locked", rsa_key(b"passphrase"))
    plot.file("../text", "no key")
    plot.file("../comma,name", "comma")


def _secret(name: str, *flags: str, dockerfile: str = _SECRET, fails: bool = False, **env: str) -> Row:
    argv = tuple(word for flag in flags for word in ("--secret", flag))
    return Row(
        f"secret-{name}", (*argv, *_OUT), dockerfile, _large, {"s": "value\n"}, env, fails=fails, masked=(_STEP,)
    )


def _ssh(name: str, *flags: str, dockerfile: str = _NEVER, fails: bool = False, **env: str) -> Row:
    argv = tuple(word for flag in flags for word in ("--ssh", flag))
    return Row(f"ssh-{name}", (*argv, *_OUT), dockerfile, _keys, env={"SSH_AUTH_SOCK": "", **env}, fails=fails)


def _cache(name: str, *flags: str, fails: bool = False, **env: str) -> Row:
    return Row(f"cache-{name}", (*flags, *_OUT), _NEVER + "COPY salt /\n", files={"salt": "SALT"}, env=env, fails=fails)


_STEP = r"(?<=process \").*(?=\" did not)"
_LEFT = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_CONFIG_FILE": ""}

ROWS = (
    _secret("file", "id=a,src=CONTEXT/s"),
    _secret("source", "ID=a,type=file,SOURCE=CONTEXT/s"),
    _secret("last", "id=a,src=CONTEXT/Dockerfile", "", "id=a,src=CONTEXT/s"),
    _secret("env", "id=a,env=TOKEN", TOKEN="from env"),
    _secret("type-env", "type=env,id=a,src=TOKEN", TOKEN="from env"),
    _secret("bare-env", "id=a", a="bare"),
    _secret("empty-env", "id=a,env=TOKEN", TOKEN=""),
    _secret("largest", "id=a,src=CONTEXT/../fit"),
    _secret("variable", "id=a,src=CONTEXT/s", dockerfile=_VARIABLE),
    _secret("placed", "id=a,env=TOKEN", dockerfile=_PLACED, TOKEN="t"),
    _secret("optional-missing", dockerfile=_OPTIONAL),
    _secret("required-missing", dockerfile=_REQUIRED, fails=True),
    _secret("other-named", "id=b,src=CONTEXT/s", dockerfile=_REQUIRED, fails=True),
    _secret("too-large", "id=a,src=CONTEXT/../big", fails=True),
    _secret("no-file", "id=a,src=CONTEXT/nope", fails=True),
    _secret("no-id", "src=CONTEXT/s", fails=True),
    _secret("no-pair", "CONTEXT/s", fails=True),
    _secret("odd-key", "id=a,file=CONTEXT/s", fails=True),
    _secret("odd-type", "id=a,type=vault", fails=True),
    _secret("csv", 'id=a,"src=CONTEXT/s', fails=True)._replace(masked=(r"(?<=column )\d+",)),
    _ssh("key", "default=CONTEXT/../ed", dockerfile=_SSH),
    _ssh("keys", "default=CONTEXT/../rsa,CONTEXT/../ed", dockerfile=_SSH),
    _ssh("id", "deploy=CONTEXT/../rsa", "other=CONTEXT/../ed", "", dockerfile=_SSH_ID),
    _ssh("optional", dockerfile=_SSH_OPTIONAL),
    _ssh("optional-there", "default=CONTEXT/../ed", dockerfile=_SSH_OPTIONAL),
    _ssh("required-missing", dockerfile=_SSH, fails=True),
    _ssh("other-id", "default=CONTEXT/../ed", dockerfile=_SSH_ID, fails=True),
    _ssh("no-agent", "default", fails=True),
    _ssh("no-socket", "default", SSH_AUTH_SOCK="/nowhere/agent", fails=True),
    _ssh("no-file", "a=/nowhere/key", fails=True),
    _ssh("no-key", "a=CONTEXT/../text", fails=True),
    _ssh("passphrase", "a=CONTEXT/../locked", fails=True),
    _ssh("twice", "default=CONTEXT/../ed", "=CONTEXT/../rsa", fails=True),
    _ssh("empty-path", "a=CONTEXT/../ed,", fails=True),
    _cache("to-no-ref", "--cache-to", "type=registry", fails=True),
    _cache("from-no-ref", "--cache-from", "type=registry", fails=True),
    _cache("gha-none", "--cache-to", "type=gha", "--cache-from", "type=gha,scope=x"),
    _cache("gha-malformed", "--cache-to", "type=gha", fails=True, ACTIONS_RUNTIME_TOKEN="t", ACTIONS_CACHE_URL="u"),
    _cache("s3-no-bucket", "--cache-to", "type=s3,region=r", fails=True, **_LEFT),
    _cache("s3-no-region", "--cache-to", "type=s3,bucket=b", fails=True, **_LEFT),
    _cache("azblob-no-url", "--cache-to", "type=azblob", fails=True),
    _cache("unknown", "--cache-to", "type=nope", fails=True),
)
