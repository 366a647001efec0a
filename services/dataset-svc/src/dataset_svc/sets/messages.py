"""Protocol buffer messages of other projects, described here by the fields that are used: no generated code."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = {
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}
_POOL = descriptor_pool.DescriptorPool()


def message(package: str, name: str, /, **fields: tuple[str, int]) -> Any:
    """The class of a message of proto2 with optional fields: `name=(kind, number)`. A kind that starts with `*` is a
    repeated field, one that is none of the plain kinds another message of that package made before."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.{name}.proto", package=package, syntax="proto2")
    made = file.message_type.add(name=name)
    for field, (kind, number) in fields.items():
        _add(file, made, field, kind, number)
    _POOL.Add(file)
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{name}"))


def _add(file: Any, made: Any, field: str, kind: str, number: int) -> None:
    plain = kind.removeprefix("*")
    label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED if kind != plain else None
    described = made.field.add(
        name=field, number=number, label=label or descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    )
    if plain in _KINDS:
        described.type = _KINDS[plain]
        return
    described.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    described.type_name = f".{file.package}.{plain}"
    if (other := f"{file.package}.{plain}.proto") not in file.dependency:
        file.dependency.append(other)
