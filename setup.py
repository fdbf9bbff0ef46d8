"""Packaging: the code, and the data that lives beside it (conf/, proto/, templates/) inside one wheel."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "([^"]+)"', (ROOT / "mubss/__init__.py").read_text("utf-8"), re.MULTILINE)[1]

# They stand at the top level of a checkout and under mubss/_data in a wheel; mubss.config.data_path finds both.
DATA = ("conf", "proto", "templates")


# With MUBSS_COMPILE=1 mypyc makes extension modules of what each request, CDR and bill passes through, out of the same
# sources: 10 to 25 % less CPU a CCR (docs/BENCHMARKS.md). The plain Python stays the truth, and is what development
# runs; `scripts/compiled` runs tests and benchmarks on the other.
COMPILE = os.environ.get("MUBSS_COMPILE") == "1"
MYPY = "mypy>=2.4,<3"
COMPILED = {
    "mubss/core": """allowance bundles calendar cdr_charging draft events history identity ledger members meter model
        money notices outbox quota rater rates reports sessions suspense tariff""",
    "mubss/charging": "batch cdr_docs locator order",
    "mubss/gy": "avp cca cca_encode ccr ccr_decode ccr_service ccr_units credit credit_answer message subscription",
    "mubss/storage": "accounts",
    "mubss/xdev": "documents",
    "mubss/xdev/mysql": "frames keys messages replies results sets",
    "mubss/xdev/sqlite": "sets",
}


def extensions() -> list[Extension]:
    """The modules to compile; none before the build's own environment has mypyc (see `setup_requires`)."""
    if not COMPILE or find_spec("mypyc") is None:
        return []
    from mypyc.build import mypycify

    paths = [f"{folder}/{name}.py" for folder, names in COMPILED.items() for name in names.split()]
    # scripts/check is the strict one: a build's environment may lack packages whose types it looks at.
    options = ["--config-file=pyproject.toml", "--ignore-missing-imports", "--follow-imports=silent"]
    options += ["--no-warn-unused-ignores", "--no-warn-return-any", "--allow-subclassing-any", "--allow-untyped-calls"]
    return mypycify([*options, *paths], group_name="mubss", debug_level="0")


class BuildWithData(build_py):
    """Copies the data folders into what becomes a wheel; an editable install finds them where they are."""

    def run(self) -> None:
        if COMPILE and not self.distribution.ext_modules:
            raise SystemExit(f"MUBSS_COMPILE=1: nothing to compile with; install {MYPY} first, or build with isolation")
        super().run()
        for name in DATA:
            if (ROOT / name).is_dir() and not self.editable_mode:
                copytree(ROOT / name, Path(self.build_lib, "mubss/_data", name), dirs_exist_ok=True)


PARQUET = ["pyarrow>=20,<27"]  # `mubss archive` and `mubss stats export --parquet`: 150 MB that nothing else needs
CHARTS = ["matplotlib>=3.10,<4"]  # mubss stats chart
COMPRESSION = ["zstandard>=0.23,<1", "lz4>=4.3,<5"]  # of MySQL connections, for who asks for it
OTEL = ["opentelemetry-sdk>=1.45,<2", "opentelemetry-exporter-otlp-proto-http>=1.45,<2"]  # traces, for who wants them
TEST = [
    *COMPRESSION,
    *PARQUET,
    *CHARTS,
    *OTEL,
    "pytest>=9.0,<10",
    "pytest-xdist>=3.8,<4",
    "hypothesis>=6.150,<7",
    "setuptools>=70.1",
    "aiosmtpd>=1.4.6,<2",
    "pypdf>=7,<8",  # reads the text of bills back
    "PyYAML>=6,<7",  # reads the rules of conf/prometheus
    "promql-parser>=0.12,<0.13",  # and Prometheus's language in them
]
# What scripts/proto needs: a later grpcio-tools writes code that the protobuf 5.29 of MySQL's connector refuses.
PROTO = ["grpcio-tools>=1.71,<1.72", "types-protobuf>=5.29,<6"]
CHECKS = ["ruff>=0.17.6,<0.18", MYPY, "import-linter>=2.16,<3", "pip-audit>=2.10,<3"]
FUZZ = ["atheris>=3.0,<4"]  # scripts/fuzz: 35 MB, installed when it is first called
DEV = [*TEST, *CHECKS, *PROTO, "py-spy>=0.4,<0.5", "build>=1.4,<2"]

setup(
    name="mubss",
    version=VERSION,
    description="A convergent business support and online charging system for telecom operators",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["mubss", "mubss.*"]),
    package_dir={"": "."},  # said outright it makes an editable install one plain .pth line, without a warning
    cmdclass={"build_py": BuildWithData},
    setup_requires=[MYPY] if COMPILE else [],
    ext_modules=extensions(),
    zip_safe=False,
    install_requires=[
        "gevent>=26.9,<27",
        "mysqlx-connector-python>=26.10,<27",  # it pins protobuf to one 5.29.x
        "protobuf>=5.29,<6",
        "grpcio>=1.71,<2",
        "grpcio-health-checking>=1.71,<1.72",  # a later one wants a protobuf that the connector refuses
        "grpcio-reflection>=1.71,<1.72",
        "googleapis-common-protos>=1.70,<2",
        "tomlkit>=0.15,<0.16",
        "Jinja2>=3.1.6,<4",
        "plutoprint>=0.23,<1",
        "pdfkit>=1.0,<2",
        "Babel>=2.18,<3",
        "segno>=1.6.6,<2",
        "cryptography>=50,<51",
        "pyrage>=1.4,<2",  # age, for files of voucher PINs
        "python-jose>=3.5,<4",
        "msgpack>=1.2.1,<2",
        "click>=8.5,<9",
        "rich>=15,<16",
        "orjson>=3.13,<4",
        "prometheus-client>=0.26,<0.27",
        "supervisor>=4.3,<5",  # runs the group: conf/supervisord.conf
        "tzdata",  # the operator's time zone on a machine without a zone database
    ],
    extras_require={
        "compression": COMPRESSION,
        "parquet": PARQUET,
        "charts": CHARTS,
        "otel": OTEL,
        "test": TEST,
        "dev": DEV,
        "fuzz": FUZZ,
    },
    entry_points={
        "console_scripts": [
            "mubss = mubss.cli.main:main",
            "mubss-gy = mubss.gy.main:main",
            "mubss-cdr = mubss.workers.cdr_loader:main",
            "mubss-billing = mubss.workers.billing:main",
            "mubss-billfmt = mubss.workers.billfmt:main",
            "mubss-stats = mubss.workers.stats:main",
            "mubss-crm = mubss.crm.main:main",
        ]
    },
)
