"""A builder made of addresses on the command line: one node each, with its platforms and TLS files.

    --addr tcp://arm.example:1234,platform=linux/arm64,cacert=ca.pem,cert=cert.pem,key=key.pem --addr unix:///run/b.sock

The value is CSV; the names of the TLS files are those of the driver options of docker buildx's remote driver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from buildclient.base.csvtext import CsvError, csv_fields
from buildclient.base.errors import UsageError
from buildclient.contract.address import Address, AddressError, KubePod, Ssh, Tcp, Unix, parse_address
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["at_endpoints", "output_of_addresses"]

_TLS = {"cacert": "ca", "ca": "ca", "cert": "cert", "key": "key", "servername": "servername"}
"""Keys of the text -> keys of a node's `tls`."""
_IN_FOLDER = (("ca", ("ca.pem", "ca.crt")), ("cert", ("cert.pem", "tls.crt")), ("key", ("key.pem", "tls.key")))
"""The files of `tlsdir`, as buildctl's --tlsdir has them: its own names, then those of a Kubernetes secret."""
_KNOWN = "platform, name, cacert, cert, key, servername and tlsdir"
_LONGEST_NAME = 63


def output_of_addresses(texts: Sequence[str], flag: str = "--addr") -> BuilderOutput:
    """Returns a builder with a node for each text. Raises UsageError, which names the text at fault."""
    nodes: list[NodeOutput] = []
    for text in texts:
        node = _node(text, flag)
        if any(other.address == node.address for other in nodes):
            raise UsageError(f"{flag} {node.address} is given twice")
        names = {other.name for other in nodes}
        name, number = node.name, 2
        while node.name in names:
            node = node._replace(name=f"{name}-{number}")
            number += 1
        nodes.append(node)
    return BuilderOutput(nodes[0].name if len(nodes) == 1 else "remote", "", tuple(nodes))


def at_endpoints(output: BuilderOutput, folder: str, flag: str) -> BuilderOutput:
    """The builder, at nodes with an endpoint reached over TLS with the certificate of `folder` instead of by exec.

    `flag` is named in problems. Raises UsageError if the folder lacks the authority, the certificate or its key.
    """
    tls = _of_folder(folder, flag)
    for key, names in _IN_FOLDER:
        if key not in tls:
            raise UsageError(f"{flag}: there is no {' or '.join(names)} in {folder}")
    nodes = (
        node._replace(address=node.endpoint, tls=tls, workload=None, selector={}, endpoint="")
        if node.endpoint
        else node
        for node in output.nodes
    )
    return output._replace(nodes=tuple(nodes))


def _node(text: str, flag: str) -> NodeOutput:
    try:
        first, *fields = csv_fields(text)
        address = parse_address(first)
    except (CsvError, AddressError) as error:
        raise UsageError(f"{flag} {text}: {error}") from None
    tls: dict[str, str] = {}
    platforms: list[Platform] = []
    name = ""
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not value:
            raise UsageError(f"{flag} {text}: {field!r} is not KEY=VALUE")
        if key == "platform":
            platforms.append(_platform(value, f"{flag} {text}"))
        elif key == "name":
            name = value
        elif key == "tlsdir":
            tls.update(_of_folder(value, f"{flag} {text}"))
        elif key in _TLS:
            tls[_TLS[key]] = value
        else:
            raise UsageError(f"{flag} {text}: unknown key {key!r} (it takes {_KNOWN})")
    if tls and not isinstance(address, Tcp):
        raise UsageError(f"{flag} {text}: TLS is for tcp:// alone")
    return NodeOutput(
        name=_slug(name) if name else _name_of(address), platforms=tuple(platforms), address=str(address), tls=tls
    )


def _platform(text: str, what: str) -> Platform:
    try:
        return parse_platform(text)
    except PlatformError as error:
        raise UsageError(f"{what}: {error}") from None


def _of_folder(folder: str, what: str) -> dict[str, str]:
    """The files of a folder that are there; the authority is a must."""
    found = {}
    for key, names in _IN_FOLDER:
        paths = [os.path.join(folder, name) for name in names]
        if path := next((path for path in paths if os.path.exists(path)), ""):
            found[key] = path
    if "ca" not in found:
        raise UsageError(f"{what}: there is no ca.pem or ca.crt in {folder}")
    return found


def _name_of(address: Address) -> str:
    """The node's name, which progress and metadata show: short, and the same for the same address."""
    match address:
        case Unix(path):
            return _slug(path.rpartition("/")[2].removesuffix(".sock") or path)
        case Tcp(host, port):
            return _slug(f"{host}-{port}")
        case Ssh(host, _, port, _):
            return _slug(f"{host}-{port}" if port else host)
        case KubePod(pod):
            return _slug(pod)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:_LONGEST_NAME].strip("-") or "remote"
