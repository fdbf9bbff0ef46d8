#!/usr/bin/env python3
"""Runs the targets of scripts/fuzz: a module scripts/fuzz_NAME.py each, with `seeds` and `one_input`.

`seeds()` gives inputs by name to begin with, `one_input(data)` takes one and raises nothing where all is well: what a
target may say no with, it catches itself. Inputs that once broke something lie in tests/fuzz/NAME/WHAT.hex; the tests
play them, the seeds and mutants of both without atheris (tests/fuzz/test_fuzz_replay.py).

    scripts/fuzz NAME [--seconds N] [--seed S] [--corpus FOLDER]

Time and memory are bounded for each input: one that takes over 10 s, or 2 GB, counts as a crash. The input of a crash
is printed as hex, to become such a file. With the same seed and no corpus the same inputs are tried in the same order.
"""

from __future__ import annotations

import argparse
import importlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests/fuzz"
INPUT_SECONDS = 10
MEMORY_MB = 2048
MAX_OCTETS = 8192
INSTRUMENTED = ["mubss", "tomlkit", "jose"]  # whose branches are followed; protobuf and json are C

sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]


def names() -> list[str]:
    """The targets that there are."""
    return sorted(file.stem.removeprefix("fuzz_") for file in (ROOT / "scripts").glob("fuzz_*.py"))


def load(name: str) -> ModuleType:
    """A target's module."""
    return importlib.import_module(f"fuzz_{name}")


def read_hex(file: Path) -> bytes:
    """The octets of a .hex file; lines that begin with # say what it is."""
    text = file.read_text(encoding="utf-8")
    return bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))


def vectors(name: str) -> dict[str, bytes]:
    """What once broke something, by name."""
    return {file.stem: read_hex(file) for file in sorted((VECTORS / name).glob("*.hex"))}


def corpus(target: ModuleType, name: str) -> dict[str, bytes]:
    """All that is known to be worth a try."""
    return {**target.seeds(), **vectors(name)}


EDGES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"[", b"{", b'"', b"\n", b".", b"9" * 30)


def mutants(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Inputs changed at a few places, the same ones for a seed."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(inputs))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data) + 1)
            what = rng.randrange(5)
            if what == 0 and at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            elif what == 1:
                edge = rng.choice(EDGES)
                data[at : at + len(edge)] = edge
            elif what == 2:
                data[at:at] = rng.choice(EDGES)
            elif what == 3:
                del data[at : at + rng.randrange(1, 16)]
            else:
                size = rng.randrange(1, 32)
                data[at:at] = data[at : at + size] * rng.choice((1, 1, 40))
        yield bytes(data[:MAX_OCTETS])


def fuzz(name: str, options: argparse.Namespace) -> None:
    """Runs one target in this process, which ends with it; a crash's input is left in the folder of artefacts."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        target = load(name)
    folder = Path(options.corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for title, data in corpus(target, name).items():
        Path(folder, title.replace("/", "-")).write_bytes(data)
    arguments = [
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={MAX_OCTETS}",
        f"-artifact_prefix={options.artefacts}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(folder)], target.one_input)
    atheris.Fuzz()


def supervise(name: str, options: argparse.Namespace) -> bool:
    """Runs one target in a process of its own; whether it found nothing."""
    with tempfile.TemporaryDirectory(prefix="mubss-fuzz-") as scratch:
        found = Path(scratch, "found")
        found.mkdir()
        command = [sys.executable, __file__, name, "--inside", f"--seconds={options.seconds}", f"--seed={options.seed}"]
        command += [f"--artefacts={found}", f"--corpus={options.corpus or Path(scratch, 'corpus')}"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        tail = done.stderr.splitlines()
        runs = next((line.split()[1] for line in tail if line.startswith("stat::number_of_executed_units")), "?")
        if not done.returncode:
            print(f"{name}: {runs} inputs in {options.seconds} s, seed {options.seed}: nothing found", flush=True)
            return True
        print(f"{name}: found something after {runs} inputs, seed {options.seed}:")
        print("\n".join([*done.stdout.splitlines()[-60:], *tail[-60:]]))
        for file in sorted(found.iterdir()):
            print(f"# {file.name}: tests/fuzz/{name}/WHAT.hex\n{file.read_bytes().hex()}", flush=True)
        return False


def main() -> None:
    """The command line; exit code 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*names(), "all"])
    parser.add_argument("--seconds", type=int, default=60, help="for each target; 0: until something is found")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", default="", help="a folder whose inputs are begun with and that grows")
    parser.add_argument("--artefacts", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options.name, options)
        return
    if options.name == "all" and options.corpus:
        parser.error("--corpus is for one target")
    chosen = names() if options.name == "all" else [options.name]
    found_nothing = [supervise(name, options) for name in chosen]
    sys.exit(0 if all(found_nothing) else 1)


if __name__ == "__main__":
    main()
