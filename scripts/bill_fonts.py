#!/usr/bin/env python3
"""Makes the fonts of bills but the Arabic ones of Inter's: scripts/bill_fonts.py FOLDER-WITH-INTER templates/fonts

Digits of one width are Inter's by a feature, whose glyphs a PDF can't be read back from; here they are the digits
themselves. What bills have no use for is left out. Needs fonttools; Inter is Debian's package fonts-inter.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

RANGES = (
    (0x20, 0x24F), (0x259, 0x259), (0x2B0, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x1E00, 0x1EFF),
    (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2190, 0x21FF),
    (0x2200, 0x22FF), (0x25A0, 0x25FF),
)  # fmt: skip
FEATURES = ["kern", "mark", "mkmk", "ccmp", "locl"]
FAMILY = "Mubss Sans"
FULL, FAMILY_NAME, POSTSCRIPT, TYPOGRAPHIC = 4, 1, 6, 16


def tabular(font: TTFont) -> dict[str, str]:
    """Glyph → the one of the same width as all digits, as the feature `tnum` has them."""
    table = font["GSUB"].table
    lookups = {
        at
        for record in table.FeatureList.FeatureRecord
        if record.FeatureTag == "tnum"
        for at in record.Feature.LookupListIndex
    }
    found: dict[str, str] = {}
    for at in lookups:
        for subtable in table.LookupList.Lookup[at].SubTable:
            found |= getattr(getattr(subtable, "ExtSubTable", subtable), "mapping", {})
    return found


def make(source: Path, target: Path) -> None:
    """One font."""
    font = TTFont(source)
    wide = tabular(font)
    for table in font["cmap"].tables:
        for code, glyph in list(table.cmap.items()):
            if chr(code).isdigit() and glyph in wide:
                table.cmap[code] = wide[glyph]
    for record in font["name"].names:
        if record.nameID in (FAMILY_NAME, TYPOGRAPHIC, FULL):
            record.string = str(record).replace("Inter", FAMILY)
        elif record.nameID == POSTSCRIPT:
            record.string = str(record).replace("Inter", FAMILY.replace(" ", ""))
    options = Options()
    options.layout_features = FEATURES
    options.name_IDs = ["*"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for low, high in RANGES for code in range(low, high + 1)])
    subsetter.subset(font)
    if "CFF " in font:
        cff = font["CFF "].cff
        cff.fontNames[0] = target.stem
        cff.topDictIndex[0].FullName = FAMILY
        cff.topDictIndex[0].FamilyName = FAMILY
    font.save(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for weight in ("Regular", "SemiBold"):
        make(Path(sys.argv[1], f"Inter-{weight}.otf"), Path(sys.argv[2], f"MubssSans-{weight}.otf"))
