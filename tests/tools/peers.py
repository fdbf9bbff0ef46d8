"""Programs of others that tests play against: a machine without one leaves those tests out."""

from __future__ import annotations

import os
import subprocess
from shutil import which
from typing import NoReturn

import pytest

NOT_HERE = "isn't installed"
REQUIRED = "MUBSS_REQUIRE_PEERS"
PHP_REQUIRED = "MUBSS_REQUIRE_PHP"

# What clients/php needs beside PHP, and how PHP tells whether it is there.
_OF_PHP = {
    "php-curl": "function_exists('curl_init')",
    "php-google-protobuf": "stream_resolve_include_path('Google/Protobuf/Internal/Message.php')",
}


def program(name: str, package: str, required: str = REQUIRED) -> str:
    """Its path; where there is none the test is left out, or fails if MUBSS_REQUIRE_PEERS is set."""
    found = which(name)
    return found if found is not None else _missing(name, package, required)


def php() -> str:
    """PHP with what clients/php needs; likewise, by MUBSS_REQUIRE_PHP."""
    found = program("php", "php-cli", PHP_REQUIRED)
    for package, is_there in _OF_PHP.items():
        if subprocess.run([found, "-r", f"exit({is_there} ? 0 : 1);"], check=False).returncode:
            _missing(package, package, PHP_REQUIRED)
    return found


def _missing(name: str, package: str, required: str) -> NoReturn:
    text = f"{name} {NOT_HERE} (Debian's package {package})"
    if os.environ.get(required):
        pytest.fail(f"{required} is set: {text}")
    pytest.skip(text)
