"""Writes docs/CRM.md: each call of proto/crm.proto with its comment, least role, fields and an example.

What is said of all calls is in scripts/crm_docs_head.md, the examples in scripts/crm_examples.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
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

# Where comments stand, by the numbers of fields in descriptor.proto: "A message's second field" is 4, 0, 2, 1.
_MESSAGE, _SERVICE, _FIELD, _METHOD = 4, 6, 2, 2


class Book:
    """A proto file with its comments."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.file = file
        self._comments = {
            tuple(place.path): place.leading_comments or place.trailing_comments
            for place in file.source_code_info.location
        }
        self._messages = {f".{file.package}.{message.name}": at for at, message in enumerate(file.message_type)}

    def comment(self, *path: int) -> str:
        """What is said of something; "" where nothing is."""
        return " ".join(self._comments.get(path, "").split())

    def message_at(self, type_name: str) -> int:
        """Where a message stands."""
        return self._messages[type_name]

    def fields(self, at: int) -> Iterator[str]:
        """The table of a message's fields."""
        message = self.file.message_type[at]
        if not message.field:
            yield from ("It has no fields.", "")
            return
        yield from ("| field | type | |", "|---|---|---|")
        for number, field in enumerate(message.field):
            said = self.comment(_MESSAGE, at, _FIELD, number).replace("|", "\\|")
            yield f"| `{field.name}` | {self._type(message, field)} | {said} |"
        yield ""

    def _type(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        for inner in message.nested_type:
            if inner.options.map_entry and field.type_name == f".{self.file.package}.{message.name}.{inner.name}":
                key, value = (self._type(inner, one) for one in inner.field)
                return f"map of {key} to {value}"
        if field.type in (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_ENUM):
            name = self._link(field.type_name)
        else:
            name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"{name}, repeated"
        return f"{name}, optional" if field.proto3_optional else name

    def _link(self, type_name: str) -> str:
        name = type_name.rpartition(".")[2]
        return f"[{name}](#message-{name.lower()})" if type_name in self._messages else f"`{type_name[1:]}`"

    def call(
        self, service: ServiceDescriptorProto, at: int, method: MethodDescriptorProto, number: int
    ) -> Iterator[str]:
        """The section of a call."""
        name = f"{service.name}/{method.name}"
        stream = "a stream of " if method.server_streaming else ""
        known = crm_pb2.DESCRIPTOR.services_by_name[service.name].methods_by_name[method.name]
        yield from (f"### {name}", "", self.comment(_SERVICE, at, _METHOD, number), "")
        yield from (f"Least role `{LEAST_ROLE[name]}`. Answer: {stream}{self._link(method.output_type)}. Request:", "")
        yield from self.fields(self.message_at(method.input_type))
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
            said = book.comment(_SERVICE, at, _METHOD, number).replace("|", "\\|")
            lines.append(f"| [{name}](#{anchor}) | `{LEAST_ROLE[name]}` | {said} |")
    lines.append("")
    for at, service in enumerate(file.service):
        lines += [f"## {service.name}", "", book.comment(_SERVICE, at), ""]
        for number, method in enumerate(service.method):
            lines += book.call(service, at, method, number)
    lines += ["## Messages", "", "What answers are, and what is within them and within requests.", ""]
    for message in sorted(file.message_type, key=lambda one: one.name):
        type_name = f".{file.package}.{message.name}"
        if type_name in asked:
            continue
        at = book.message_at(type_name)
        said = book.comment(_MESSAGE, at)
        lines += [f"### Message {message.name}", "", *((said, "") if said else ()), *book.fields(at)]
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
