"""The texts of bills by language: texts/<language>.toml in the folder of templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from mubss.billfmt.folder import Folder
from mubss.billfmt.locales import FALLBACK
from mubss.core.errors import ConfigError

Texts = Mapping[str, Any]
_WORD = re.compile(r"\{(\w+)\}")


def read_texts(folder: Folder) -> dict[str, Texts]:
    """All there are, by language or tag ("de", "pt-BR"); a text that one lacks is English."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(folder.files):
        if name.startswith("texts/") and name.endswith(".toml"):
            try:
                found[name[6:-5]] = tomllib.loads(folder.text(name) or "")
            except tomllib.TOMLDecodeError as error:
                raise ConfigError(f"billfmt.templates: {name}: not TOML: {error}") from None
    english = found.get(FALLBACK)
    if english is None:
        raise ConfigError(f"billfmt.templates: no texts/{FALLBACK}.toml")
    return {tag: _whole(texts, english, tag) for tag, texts in found.items()}


def _whole(texts: dict[str, Any], english: dict[str, Any], tag: str) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for key, text in english.items():
        own = texts.get(key, text)
        if type(own) is not type(text):
            raise ConfigError(f"billfmt.templates: texts/{tag}.toml: {key}; expected as in texts/{FALLBACK}.toml")
        whole[key] = {**text, **own} if isinstance(text, dict) else own
    return whole


def language_of(tag: str, known: Mapping[str, Texts]) -> str:
    """The language to write in: that of the tag, without its region, else English."""
    return next((name for name in (tag, tag.partition("-")[0]) if name in known), FALLBACK)


def filled(text: str, **values: object) -> str:
    """A text with its words in braces filled in; what else stands in braces stays."""
    return _WORD.sub(lambda found: str(values.get(found[1], found[0])), text).strip()
