"""Makes the classes of the messages that a `_pb2` module describes; protoc's own code, but lighter.

What protoc writes loads Python's protobuf implementation, a quarter of a cached build's imports, though the messages
themselves are made by the one in C (upb). Where upb is there, it alone is asked; elsewhere protobuf's own builder is.
"""

from __future__ import annotations

from typing import Any

__all__ = ["load"]


def load(serialized: bytes, module: str, names: dict[str, Any]) -> Any:
    """Puts the messages and enums of a serialized `FileDescriptorProto` into a module's names; returns its descriptor.

    What it imports must be loaded. Raises TypeError where another file of that name has been.
    """
    try:
        from google._upb._message import MessageMeta, default_pool
    except ImportError:
        return _load_by_builder(serialized, module, names)
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
    from google.protobuf.message import Message

    def made(described: Any, prefix: str = "") -> Any:
        own = {"DESCRIPTOR": described, "__module__": module, "__qualname__": prefix + described.name}
        for name, nested in described.nested_types_by_name.items():
            own[name] = made(nested, f"{prefix}{described.name}.")
        return MessageMeta(described.name, (Message,), own)

    file = default_pool.AddSerializedFile(serialized)
    names.update({name: made(one) for name, one in file.message_types_by_name.items()})
    for name, enum in file.enum_types_by_name.items():
        wrapped: Any = enum
        names[name] = EnumTypeWrapper(wrapped)
        names.update({value.name: value.number for value in enum.values})
    return file


def _load_by_builder(serialized: bytes, module: str, names: dict[str, Any]) -> Any:
    from google.protobuf import descriptor_pool
    from google.protobuf.internal import builder

    file = descriptor_pool.Default().AddSerializedFile(serialized)
    builder.BuildMessageAndEnumDescriptors(file, names)
    builder.BuildTopDescriptorsAndMessages(file, module, names)
    return file
