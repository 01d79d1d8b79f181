"""Write the tables of docs/product.md from the code: names, types, scales, classes, flags.

python benchmarks/product_reference.py
"""

from __future__ import annotations

import re
from pathlib import Path

from sections import replace_section

from s2cloud.model.bands import BAND_INFO, L2A_BANDS
from s2cloud.model.schema import ENCODINGS, SCL, Flag

PAGE = Path(__file__).parents[1] / "docs" / "product.md"
SCHEMA = Path(__file__).parents[1] / "s2cloud" / "model" / "schema.py"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def encodings() -> str:
    """Stored types, one row per kind of raster."""
    rows = [
        [
            f"`{name}`",
            e.long_name,
            e.dtype,
            f"{e.scale:g}",
            f"{e.offset:g}",
            str(e.fill),
            f"{e.minimum} ... {e.maximum}",
            "" if e.units == "1" else e.units,
        ]
        for name, e in ENCODINGS.items()
    ]
    head = ["name", "what", "type", "scale", "offset", "no data", "valid, stored", "unit"]
    return table(head, rows)


def bands() -> str:
    """Which band comes at which resolution."""
    rows = [
        [
            info.esa_name,
            info.common_name,
            f"{info.wavelength_nm[0]:.0f}",
            *("yes" if name in L2A_BANDS[r] else "" for r in (10, 20, 60)),
            f"{info.resolution} m",
        ]
        for name, info in BAND_INFO.items()
        if name != "b10"
    ]
    return table(["band", "common name", "nm (S2A)", "r10m", "r20m", "r60m", "native, COG"], rows)


def classes() -> str:
    """Classes of the scene classification."""
    rows = [[str(int(c)), c.name.lower().replace("_", " ")] for c in SCL]
    return table(["value", "class"], rows)


def flags() -> str:
    """Bits of the flags, with the comments of the code as their meaning."""
    text = SCHEMA.read_text(encoding="utf-8")
    body = text[text.index("class Flag(") : text.index("class SCL(")]
    notes: dict[str, str] = {}
    comment = ""
    for line in body.splitlines():
        stripped = line.strip()
        if stripped.startswith("#:"):
            comment += f" {stripped[2:].strip()}"
        elif match := re.match(r"([A-Z0-9_]+) = 1 <<", stripped):
            notes[match[1]] = comment.strip()
            comment = ""
    rows = [
        [
            str(int(flag)),
            (flag.name or "").lower().replace("_", " "),
            notes.get(flag.name or "", ""),
        ]
        for flag in Flag
    ]
    return table(["value", "flag", "meaning"], rows)


def main() -> None:
    """Write the page's tables."""
    for name, make in (
        ("encodings", encodings),
        ("bands", bands),
        ("classes", classes),
        ("flags", flags),
    ):
        replace_section(PAGE, name, make())


if __name__ == "__main__":
    main()
