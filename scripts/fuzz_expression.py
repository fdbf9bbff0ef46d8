"""Expressions of the document store, through both engines' translators and a real embedded store."""

from __future__ import annotations

import tempfile

from mubss.xdev import expression_reader as reader
from mubss.xdev.api import Session
from mubss.xdev.errors import StoreError
from mubss.xdev.expressions import Literal, Node, bind, placeholders, require_condition
from mubss.xdev.mysql.translate import MysqlTranslator
from mubss.xdev.store import open_store

CONDITION, ORDER, FIELD, PATH, CHANGE = range(5)
FOLDER = tempfile.TemporaryDirectory(prefix="mubss-fuzz-expression-")
STORE = open_store(f"sqlite:///{FOLDER.name}/fuzz.db")
DOCS = [{"_id": "1", "a": 1, "t": "x%_é", "l": [1, [2]], "o": {"c": None}}, {"_id": "2", "a": True, "d": "2024-02-29"}]
BOUND = (1, -(2**63), 0.5, "a%", None, True)

CONDITIONS = """\
$.a = 1 AND t LIKE 'x%' OR NOT ($.l IS NULL)
$.a IN (1, 2.5, :x, 'c') XOR a BETWEEN -1 AND ?
1 IN $.l AND 'c' NOT IN o.c
upper(concat(t, 'x', $.o."c d"[0])) = lower(:y) AND datediff(d, '2024-01-01') > 5
(a + 1) * -a DIV 3 % 2 / 0 >= ifnull(l[1][0], 9223372036854775807)
json_length($.l) = length(substr(t, 2, 1)) AND json_type(o) != 'NULL' AND year(d) = weekday(d)
"""


def seeds() -> dict[str, bytes]:
    """What the first octet says; then the text."""
    found = {f"condition-{n}": bytes([CONDITION]) + one.encode() for n, one in enumerate(CONDITIONS.splitlines())}
    found["deep"] = bytes([CONDITION]) + b"(" * 3000 + b"1"
    found["many"] = bytes([CONDITION]) + b" AND ".join([b"a = 1"] * 600)
    found["wide"] = bytes([CONDITION]) + b"a IN (" + b"1," * 3000 + b"1)"
    found["order"] = bytes([ORDER]) + b"$.a DESC, upper(t), a + 1 ASC"
    found["field"] = bytes([FIELD]) + b"$.o.c AS c"
    found["path"] = bytes([PATH]) + b'$.b[0]."c d".`e`'
    found["change"] = bytes([CHANGE]) + b"$.o.e[2]"
    return found


def one_input(data: bytes) -> None:
    """A statement is done, or refused with a StoreError: no text reaches an engine that it can't take."""
    if len(data) < 2:
        return
    kind = data[0] % 5
    text = data[1:].decode("utf-8", "replace")
    try:
        if kind == PATH:
            reader.read_path(text)
        else:
            STORE.run(lambda session: _statement(session, kind, text))
    except StoreError as error:
        assert len(str(error)) < 2000


def _statement(session: Session, kind: int, text: str) -> None:
    docs = session.collection("docs")
    if kind == CONDITION:
        tree = reader.read(text)
        values = {name: BOUND[at % len(BOUND)] for at, name in enumerate(sorted(placeholders(tree)))}
        _condition(bind(tree, values))
        docs.find(text).bind(values).execute()
    elif kind == ORDER:
        for one in reader.read_order(text):
            MysqlTranslator().order(one.node)
        docs.find().sort(text).execute()
    elif kind == FIELD:
        MysqlTranslator().fields([reader.read_field(text)])
        docs.find().fields(text).execute()
    else:
        docs.modify("_id = '2'").set(text, "x").execute()
        docs.modify("_id = '2'").unset(text).execute()


def _condition(node: Node) -> None:
    """In MySQL's words; the embedded store is asked itself."""
    require_condition(node)
    assert isinstance(node, Literal) or MysqlTranslator().condition(node)


def _begin() -> None:
    STORE.make()
    STORE.run(lambda session: session.create_collection("docs").add(*DOCS))


_begin()
