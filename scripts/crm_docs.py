"""Writes docs/CRM.md: each call of proto/crm.proto with its comment, least role, fields and an example.

What is said of all calls is in scripts/crm_docs_head.md, the examples in scripts/crm_examples.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

from crm_examples import php_call, python_call
from mubss.crm.permissions import LEAST_ROLE
from mubss.pb import crm_pb2

ROOT = Path(__file__).parents[1]
PROTO, HEAD = ROOT / "proto/crm.proto", Path(__file__).with_name("crm_docs_head.md")
FILE = ROOT / "docs/CRM.md"
_MARK = """<!-- Written by scripts/crm_docs from proto/crm.proto, mubss/crm/permissions.py, scripts/crm_docs_head.md and
scripts/crm_examples.py: change those, then run it again. -->
"""

# Where comments stand, by the numbers of fields in descriptor.proto: the first message's second field is 4, 0, 2, 1.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _INNER_MESSAGE, _INNER_ENUM = 2, 3, 4  # of a message
_METHOD = _VALUE = 2  # of a service; of an enumeration


class Place(NamedTuple):
    """A message or an enumeration, and where it stands."""

    form: DescriptorProto | EnumDescriptorProto
    path: tuple[int, ...]


class Book:
    """A proto file with its comments."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.file = file
        self._comments = {
            tuple(place.path): place.leading_comments or place.trailing_comments
            for place in file.source_code_info.location
        }
        self.types: dict[str, Place] = {}
        for at, message in enumerate(file.message_type):
            self._index(f".{file.package}", message, (_MESSAGE, at))
        for at, enum in enumerate(file.enum_type):
            self.types[f".{file.package}.{enum.name}"] = Place(enum, (_ENUM, at))

    def _index(self, within: str, message: DescriptorProto, path: tuple[int, ...]) -> None:
        name = f"{within}.{message.name}"
        self.types[name] = Place(message, path)
        for at, inner in enumerate(message.nested_type):
            self._index(name, inner, (*path, _INNER_MESSAGE, at))
        for at, enum in enumerate(message.enum_type):
            self.types[f"{name}.{enum.name}"] = Place(enum, (*path, _INNER_ENUM, at))

    def comment(self, *path: int) -> str:
        """What is said of something; "" where nothing is."""
        return " ".join(self._comments.get(path, "").split())

    def cell(self, *path: int) -> str:
        """The same for a cell of a table."""
        return self.comment(*path).replace("|", "\\|")

    def table(self, type_name: str) -> Iterator[str]:
        """A message's fields, or an enumeration's values."""
        form, path = self.types[type_name]
        if isinstance(form, EnumDescriptorProto):
            yield from ("| value | |", "|---|---|")
            yield from (f"| `{one.name}` | {self.cell(*path, _VALUE, at)} |" for at, one in enumerate(form.value))
        elif form.field:
            yield from ("| field | type | |", "|---|---|---|")
            for at, field in enumerate(form.field):
                yield f"| `{field.name}` | {self._type(form, field)} | {self.cell(*path, _FIELD, at)} |"
        else:
            yield "It has no fields."
        yield ""

    def _type(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        known = self.types.get(field.type_name)
        if known is not None and isinstance(known.form, DescriptorProto) and known.form.options.map_entry:
            key, value = (self._type(known.form, one) for one in known.form.field)
            return f"map of {key} to {value}"
        if field.type in (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_ENUM):
            name = self._link(field.type_name)
        else:
            name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"{name}, repeated"
        if field.proto3_optional:
            return f"{name}, optional"
        if field.HasField("oneof_index"):
            return f"{name}, or another of `{message.oneof_decl[field.oneof_index].name}`"
        return name

    def title(self, type_name: str) -> str:
        """The heading of a message or an enumeration."""
        kind = "Enum" if isinstance(self.types[type_name].form, EnumDescriptorProto) else "Message"
        return f"{kind} {type_name.removeprefix(f'.{self.file.package}.')}"

    def _link(self, type_name: str) -> str:
        if type_name not in self.types:
            return f"`{type_name[1:]}`"
        title = self.title(type_name)
        return f"[{title.partition(' ')[2]}](#{title.lower().replace(' ', '-').replace('.', '')})"

    def call(
        self, service: ServiceDescriptorProto, at: int, method: MethodDescriptorProto, number: int
    ) -> Iterator[str]:
        """The section of a call."""
        name = f"{service.name}/{method.name}"
        stream = "a stream of " if method.server_streaming else ""
        known = crm_pb2.DESCRIPTOR.services_by_name[service.name].methods_by_name[method.name]
        yield from (f"### {name}", "", self.comment(_SERVICE, at, _METHOD, number), "")
        yield from (f"Least role `{LEAST_ROLE[name]}`. Answer: {stream}{self._link(method.output_type)}. Request:", "")
        yield from self.table(method.input_type)
        for language, text in (("php", php_call(name, known)), ("python", python_call(name, known))):
            yield from (f"```{language}", _statement(language, text, method.server_streaming), "```", "")


def _statement(language: str, call: str, is_stream: bool) -> str:
    if language == "php":
        return f"foreach ({call} as $answer) {{ … }}" if is_stream else f"$answer = {call};"
    return f"for answer in {call}: …" if is_stream else f"answer = {call}"


def read() -> FileDescriptorProto:
    """The proto file; SystemExit where it can't be read."""
    with TemporaryDirectory() as folder:
        made = Path(folder, "made")
        options = [f"--proto_path={PROTO.parent}", "--include_source_info", f"--descriptor_set_out={made}"]
        if protoc.main(["protoc", *options, PROTO.name]):
            raise SystemExit(1)
        return FileDescriptorSet.FromString(made.read_bytes()).file[0]


def document(file: FileDescriptorProto) -> str:
    """The whole file."""
    book, asked = Book(file), {method.input_type for service in file.service for method in service.method}
    lines = [_MARK, HEAD.read_text("utf-8"), "## All calls", "", "| call | least role | |", "|---|---|---|"]
    for at, service in enumerate(file.service):
        for number, method in enumerate(service.method):
            name = f"{service.name}/{method.name}"
            anchor = name.replace("/", "").lower()
            lines.append(f"| [{name}](#{anchor}) | `{LEAST_ROLE[name]}` | {book.cell(_SERVICE, at, _METHOD, number)} |")
    lines.append("")
    for at, service in enumerate(file.service):
        lines += [f"## {service.name}", "", book.comment(_SERVICE, at), ""]
        for number, method in enumerate(service.method):
            lines += book.call(service, at, method, number)
    lines += ["## Messages", "", "What answers are, and what is within them and within requests.", ""]
    for type_name, (form, path) in sorted(book.types.items()):
        is_map = isinstance(form, DescriptorProto) and form.options.map_entry
        if type_name not in asked and not is_map:
            said = book.comment(*path)
            lines += [f"### {book.title(type_name)}", "", *((said, "") if said else ()), *book.table(type_name)]
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit("scripts/crm_docs [--check]")
    text = document(read())
    if not sys.argv[1:]:
        FILE.write_text(text, "utf-8")
    elif not FILE.exists() or FILE.read_text("utf-8") != text:
        raise SystemExit(f"{FILE.relative_to(ROOT)} is not what the proto and its examples make; run: scripts/crm_docs")


if __name__ == "__main__":
    main()
