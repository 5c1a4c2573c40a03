"""What each flag takes: a line above an error whose own words, docker buildx's, do not name the flag."""

from __future__ import annotations

__all__ = ["takes"]

_TAKES = {
    "--add-host": "HOST:IP or HOST=IP, such as db:10.0.0.7",
    "--allow": "network.host, security.insecure, device[=NAME] or buildx.local.delete",
    "--annotation": "[TYPE[,TYPE…][[PLATFORM]]:]KEY=VALUE, TYPE being index, manifest or their -descriptor",
    "--attest": "type=provenance|sbom[,disabled=true][,KEY=VALUE…]",
    "--build-arg": "KEY=VALUE, or KEY for the environment's value",
    "--build-context": "NAME=PATH, URL, docker-image://IMAGE or oci-layout://DIR[:TAG|@DIGEST], NAME in lower case",
    "--cache-from": "IMAGE or type=registry|local|gha|s3|azblob,KEY=VALUE…",
    "--cache-to": "IMAGE or type=registry|inline|local|gha|s3|azblob,KEY=VALUE…",
    "--call": "build, check, outline or targets[,format=json|text][,ignorestatus=true]",
    "--iidfile": "FILE, of a build that exports an image",
    "--label": "KEY=VALUE",
    "--network": "default, none or host",
    "--output": "DIR, - or type=image|registry|oci|docker|tar|local|cacheonly[,dest=PATH][,KEY=VALUE…]",
    "--platform": "OS[(VERSION)]/ARCH[/VARIANT], such as linux/arm64, comma-separated, or local",
    "--policy": "filename=PATH[,reset=true][,disabled=true][,strict=true][,log-level=LEVEL]",
    "--progress": "auto, plain, tty, rawjson, none or quiet; with --quiet, auto, none or quiet",
    "--provenance": "true, false, mode=min or mode=max",
    "--resource": "NAME=VALUE, such as memory=2g, memory-swap=-1, cpu-shares=512, cpu-quota=50000 or cpuset-cpus=0-3",
    "--sbom": "true, false or generator=IMAGE",
    "--secret": "id=ID[,src=PATH|,env=VARIABLE][,type=file|env]",
    "--shm-size": "bytes, with k, m or g for more, such as 64m",
    "--ssh": "ID[=SOCKET|=KEY[,KEY…]], such as default or deploy=key.pem",
    "--tag": "[REGISTRY/]NAME[:TAG], NAME in lower case, such as registry.example/app:1",
    "--ulimit": "NAME=SOFT[:HARD], such as nofile=1024:2048",
}


def takes(flag: str) -> str:
    """One line for a flag, with its end; empty for a flag that has none."""
    value = _TAKES.get(flag)
    return f"hint: {flag} takes {value}\n" if value else ""
