"""The embedded store's file as a whole. Apart from `database`: a process on MySQL never loads sqlite3."""

from __future__ import annotations

from mubss.xdev.sqlite.files import alone, check_file

__all__ = ["alone", "check_file"]
