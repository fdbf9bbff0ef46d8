"""What isn't mubss's own: the engine that makes PDFs, and the fonts of bills."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from mubss.billfmt.folder import read_folder
from mubss.billfmt.wkhtmltopdf import PROGRAM
from mubss.config import data_path
from mubss.config_billfmt import PLUTOBOOK
from mubss.core.errors import ConfigError
from mubss.core.wording import counted
from mubss.services.doctor.scene import Finding, Scene, fail, ok

_FONTS = (".ttf", ".otf")


def check(scene: Scene) -> Iterator[Finding]:
    """The engine that is configured, and the templates with their fonts."""
    options = scene.config.billfmt
    if options.engine == PLUTOBOOK:
        yield _plutobook()
    elif found := shutil.which(PROGRAM):
        yield ok(f"billfmt.engine: {options.engine} with {found}")
    else:
        do = f"install {PROGRAM}, or set billfmt.engine to {PLUTOBOOK}"
        yield fail(f"billfmt.engine: {options.engine} needs {PROGRAM}, which isn't installed", do)
    own = scene.config.resolve(options.templates) if options.templates else None
    try:
        folder = read_folder(data_path("templates"), own)
    except ConfigError as error:
        yield fail(str(error), "no bill can be made: mend that folder")
        return
    fonts = sum(name.lower().endswith(_FONTS) for name in folder.files)
    if fonts:
        yield ok(f"templates: {counted(len(folder.files), 'file')}, {fonts} of them fonts")
    else:
        yield fail("templates: no font among them", "install mubss anew, or put fonts into fonts/ of your templates")


def _plutobook() -> Finding:
    try:
        import plutoprint
    except ImportError as error:  # the library that it is built on
        return fail(f"billfmt.engine: {PLUTOBOOK}: {error}", "install mubss anew")
    return ok(f"billfmt.engine: {PLUTOBOOK} {plutoprint.plutobook_version_string()}")
