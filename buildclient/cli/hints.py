"""What each flag takes: a line above an error whose own words, docker buildx's, do not name the flag."""

from __future__ import annotations

__all__ = ["NOT_SERVED", "SWITCHES", "takes"]

_TAKES = {
    "--add-host": "HOST:IP or HOST=IP, such as db:10.0.0.7",
    "--allow": "network.host, security.insecure, device[=NAME] or buildx.local.delete",
    "--annotation": "[TYPE[,TYPE…][[PLATFORM]]:]KEY=VALUE, TYPE being index, manifest or their -descriptor",
    "--attest": "type=provenance|sbom[,disabled=true][,KEY=VALUE…]",
    "--build-arg": "KEY=VALUE, or KEY for the environment's value",
    "--build-context": "NAME=PATH, NAME=URL or NAME=docker-image://IMAGE, NAME in lower case",
    "--cache-from": "IMAGE or type=registry|gha|s3|azblob,KEY=VALUE…",
    "--cache-to": "IMAGE or type=registry|inline|gha|s3|azblob,KEY=VALUE…",
    "--call": "build, check, outline or targets[,format=json|text][,ignorestatus=true]",
    "--label": "KEY=VALUE",
    "--network": "default, none or host",
    "--output": "DIR, - or type=image|registry|oci|docker|tar|local|cacheonly[,dest=PATH][,KEY=VALUE…]",
    "--platform": "OS/ARCH[/VARIANT], such as linux/arm64, comma-separated, or local",
    "--policy": "filename=PATH[,reset=true][,disabled=true][,strict=true][,log-level=LEVEL]",
    "--provenance": "true, false, mode=min or mode=max",
    "--sbom": "true, false or generator=IMAGE",
    "--secret": "id=ID[,src=PATH|,env=VARIABLE][,type=file|env]",
    "--shm-size": "bytes, with k, m or g for more, such as 64m",
    "--ssh": "ID[=SOCKET|=KEY[,KEY…]], such as default or deploy=key.pem",
    "--tag": "[REGISTRY/]NAME[:TAG], NAME in lower case, such as registry.example/app:1",
    "--ulimit": "NAME=SOFT[:HARD], such as nofile=1024:2048",
}
_LATER = "is not supported yet; "
_PEER = f"{_LATER}docker buildx, attached to the same builder, has it"
_LIMITS = f"{_LATER}limits are the builder's: its options requests.* and limits.*"
_NEVER = "has no meaning with BuildKit; leave it out: "
NOT_SERVED = {
    ("--compress",): f"{_NEVER}only what changed of a context is sent",
    ("--cpu-period",): _LIMITS,
    ("--cpu-quota",): _LIMITS,
    ("--cpu-shares", "-c"): _LIMITS,
    ("--cpuset-cpus",): _LIMITS,
    ("--cpuset-mems",): _LIMITS,
    ("--force-rm",): f"{_NEVER}no intermediate container stays",
    ("--isolation",): f"{_NEVER}steps run in containers of the builder",
    ("--memory", "-m"): _LIMITS,
    ("--memory-swap",): _LIMITS,
    ("--resource",): _LIMITS,
    ("--rm",): f"{_NEVER}no intermediate container stays",
    ("--security-opt",): f"{_NEVER}write RUN --security=insecure and pass --allow security.insecure",
    ("--squash",): f"{_NEVER}copy from a stage into another to have one layer",
}
"""Flags of docker buildx that are not served, and why or what is there instead."""
SWITCHES = frozenset(("--compress", "--force-rm", "--rm", "--squash"))
"""Those of them that take no value."""


def takes(flag: str) -> str:
    """One line for a flag, with its end; empty for a flag that has none."""
    value = _TAKES.get(flag)
    return f"hint: {flag} takes {value}\n" if value else ""
