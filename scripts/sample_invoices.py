#!/usr/bin/env python3
"""Makes docs/invoices anew: a statement, a bill and one from right to left, as PDF and (needs pdftoppm) as PNG."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bill_samples

FOLDER = bill_samples.ROOT / "docs/invoices"
SAMPLES = (("prepaid", "de"), ("postpaid", "en"), ("postpaid", "ar"))
DPI = 100


def main() -> int:
    renderer = bill_samples.renderer()
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for kind, language in SAMPLES:
        bill, usage, postings = getattr(bill_samples, kind)(language)
        made = renderer.render(bill, usage, postings, bill_samples.facts(language))
        path = FOLDER / f"{kind}-{language}.pdf"
        path.write_bytes(made.pdf)
        pages = ["-f", "1", "-l", "2"]
        subprocess.run(["pdftoppm", "-png", "-r", str(DPI), *pages, path, path.with_suffix("")], check=True)
        print(f"{path.relative_to(bill_samples.ROOT)}: {made.pages} pages")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
