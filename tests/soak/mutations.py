"""Seeded damage to small products in every layout: what is broken, and where.

A mutation is a function of a generator of random numbers and the bytes of a file. The families
know their format a little, for blind damage rarely gets past the first check of a parser.
"""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2cloud.simulation import simulate_l1c
from tests.io import layout_factory

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    "0",
    "-1",
    "1e308",
    "nan",
    "inf",
    "999999999999",
    "",
    "0x10",
    "1,5",
    "65536",
    "4294967296",
)
#: Where a path must never lead; the runner watches it.
SECRET = "secret-beside-the-product"
ESCAPES = (
    *(f"../../{SECRET}", f"../{SECRET}", f"/../{SECRET}", f"file://{{above}}/{SECRET}"),
    *(f"GRANULE/../../{SECRET}", f"..\\{SECRET}", f"{{above}}/{SECRET}", "\x00", "a" * 5000),
)


# -- any file ----------------------------------------------------------------------------------


def flipped(dice: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 4, 64))):
        out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    return bytes(out)


def cut(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def holed(dice: random.Random, data: bytes) -> bytes:
    first = dice.randrange(len(data))
    length = dice.choice((1, 2, 16, 1000))
    return data[:first] + data[first + length :]


def stuffed(dice: random.Random, data: bytes) -> bytes:
    first = dice.randrange(len(data))
    return data[:first] + dice.randbytes(dice.choice((1, 4, 500))) + data[first:]


def replaced(dice: random.Random, data: bytes) -> bytes:
    return dice.choice((b"", b"\0" * len(data), dice.randbytes(min(len(data), 4096)), b"<", b"{}"))


BLIND: tuple[Mutation, ...] = (flipped, cut, holed, stuffed, replaced)


# -- XML ---------------------------------------------------------------------------------------


def renumbered(dice: random.Random, data: bytes) -> bytes:
    text = data.decode("latin-1")
    found = list(re.finditer(r">([-+.\deE ]+)<", text)) or list(re.finditer("^", text))
    for _ in range(dice.choice((1, 1, 3))):
        match = dice.choice(found)
        new = dice.choice(NUMBERS)
        text = text.replace(match.group(0), f">{new}<", dice.choice((1, -1)))
    return text.encode("latin-1")


def retagged(dice: random.Random, data: bytes) -> bytes:
    """An element removed, doubled, renamed or emptied."""
    text = data.decode("latin-1")
    names = sorted(set(re.findall(r"<([A-Za-z_:]+)[ >]", text)))
    name = dice.choice(names)
    match = re.search(rf"<{name}[ >].*?</{name}>", text, re.DOTALL)
    if match is None:
        return text.replace(name, "Other").encode("latin-1")
    whole = match.group(0)
    new = dice.choice(("", whole * 2, whole * 200, whole.replace(name, "Other"), f"<{name}/>"))
    return text.replace(whole, new, 1).encode("latin-1")


def attributed(dice: random.Random, data: bytes) -> bytes:
    text = data.decode("latin-1")
    found = re.findall(r'[A-Za-z_]+="[^"]*"', text)
    if not found:
        return cut(dice, data)
    old = dice.choice(found)
    new = dice.choice((*NUMBERS, "B99", "10", "13", "../x"))
    return text.replace(old, f'{old.partition("=")[0]}="{new}"', 1).encode("latin-1")


def entities(dice: random.Random, data: bytes) -> bytes:
    """A billion laughs, or a file of this machine."""
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'
    outside = '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///proc/self/environ">]>'
    text = re.sub(r"<\?xml.*?\?>", "", data.decode("latin-1"), count=1)
    text = re.sub(r">([^<>\s]+)<", ">&l9;<", text, count=1)
    return (dice.choice((bomb, outside)) + text).encode("latin-1")


def pointed(dice: random.Random, data: bytes) -> bytes:
    """Paths that lead elsewhere."""
    text = data.decode("latin-1")
    found = re.findall(r">(GRANULE/[^<]+|[^<>]*\.(?:jp2|gml))<", text)
    if not found:
        return renumbered(dice, data)
    return text.replace(dice.choice(found), dice.choice(ESCAPES)).encode("latin-1", "replace")


def nested(dice: random.Random, data: bytes) -> bytes:
    del data
    depth = dice.choice((1000, 100_000))
    return b"<a>" * depth + b"</a>" * depth


XML: tuple[Mutation, ...] = (
    *(renumbered, renumbered, retagged, retagged, attributed, entities, pointed, nested),
    *(flipped, cut, stuffed),
)


# -- JPEG 2000 ---------------------------------------------------------------------------------

MARKERS = {"SIZ": 0xFF51, "COD": 0xFF52, "QCD": 0xFF5C, "TLM": 0xFF55, "PLT": 0xFF58, "SOT": 0xFF90}


def remarked(dice: random.Random, data: bytes) -> bytes:
    """A field of a marker segment set to an extreme."""
    name = dice.choice((*MARKERS, "SIZ", "SIZ"))
    first = data.find(struct.pack(">H", MARKERS[name]))
    if first < 0:
        return flipped(dice, data)
    out = bytearray(data)
    offset = first + 2 + dice.randrange(2, 40)
    size = dice.choice((1, 2, 4))
    value = dice.choice((0, 1, 2, 255, 65535, 2**31 - 1, 2**32 - 1)) % 2 ** (8 * size)
    out[offset : offset + size] = value.to_bytes(size, "big")
    return bytes(out[: len(data)])


def grown(dice: random.Random, data: bytes) -> bytes:
    """An image, or a number of tiles, that no memory holds."""
    first = data.find(b"\xff\x51")
    if first < 0:
        return flipped(dice, data)
    out = bytearray(data)
    sizes = first + 6
    if dice.random() < 0.5:
        struct.pack_into(">II", out, sizes, *(dice.choice((10**6, 2**31, 2**32 - 1)),) * 2)
    else:
        struct.pack_into(">II", out, sizes + 16, dice.choice((0, 1)), dice.choice((0, 1)))
    return bytes(out)


def repacked(dice: random.Random, data: bytes) -> bytes:
    """Damage behind the headers: packets."""
    first = data.find(b"\xff\x93")
    if first < 0 or first + 4 >= len(data):
        return flipped(dice, data)
    head, body = data[: first + 2], data[first + 2 :]
    return head + dice.choice((flipped, holed, stuffed, cut))(dice, body)


def boxed(dice: random.Random, data: bytes) -> bytes:
    """The length of a box is wrong."""
    names = [n for n in (b"jp2h", b"ihdr", b"colr", b"asoc", b"xml ", b"jp2c") if n in data]
    if not names:
        return flipped(dice, data)
    at = data.find(dice.choice(names)) - 4
    size = dice.choice((0, 1, 7, 8, 2**31, 2**32 - 1))
    return data[:at] + struct.pack(">I", size) + data[at + 4 :]


JP2: tuple[Mutation, ...] = (remarked, remarked, grown, repacked, repacked, boxed, *BLIND)


# -- GRIB --------------------------------------------------------------------------------------


def regridded(dice: random.Random, data: bytes) -> bytes:
    """A length or a number in one of the sections of a message."""
    out = bytearray(data)
    starts = [m.start() for m in re.finditer(b"GRIB", data)] or [0]
    at = dice.choice(starts) + dice.randrange(4, 120)
    size = dice.choice((1, 2, 3, 4))
    value = dice.choice((0, 1, 255, 2**23, 2**31, 2**32 - 1)) % 2 ** (8 * size)
    out[at : at + size] = value.to_bytes(size, "big")
    return bytes(out)


GRIB: tuple[Mutation, ...] = (regridded, regridded, regridded, *BLIND)


# -- JSON: Zarr and STAC -----------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    *(None, 0, -1, 10**12, 2**70, 1e308, float("nan"), "", "x", [], {}, True),
    *([10**9, 10**9], [0, 0], [-1, 4], [1, 1], ["a"], {"id": "nonsense"}, "<U99", "|V9", ">f8"),
    *(f"../{SECRET}", f"../../{SECRET}", "[" * 50),
)


def rewritten(dice: random.Random, data: bytes) -> bytes:
    """Values changed, keys removed."""
    try:
        document = json.loads(data)
    except ValueError:
        return flipped(dice, data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    if isinstance(document, dict | list):
        walk(document)
    for _ in range(dice.choice((1, 1, 2, 5))):
        if not places:
            break
        node, key = dice.choice(places)
        if dice.random() < 0.2 and isinstance(node, dict):
            node.pop(key, None)
        elif isinstance(node, dict) or key < len(node):
            node[key] = dice.choice(VALUES)
    return json.dumps(document).encode()


def bracketed(dice: random.Random, data: bytes) -> bytes:
    del data
    depth = dice.choice((500, 200_000))
    return b"[" * depth + b"]" * depth


JSON: tuple[Mutation, ...] = (*(rewritten,) * 6, bracketed, flipped, cut, replaced)


# -- archives ----------------------------------------------------------------------------------


def slipped(dice: random.Random, data: bytes) -> bytes:
    """Members whose names lead out of the archive, in place of or beside the true ones."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        moved = dice.choice(names)
        for name in names:
            given = dice.choice(ESCAPES[:5]) if name == moved else name
            new.writestr(given, old.read(name))
        new.writestr(f"../../{SECRET}", b"overwritten")
    return out.getvalue()


def bombed(dice: random.Random, data: bytes) -> bytes:
    """A member that unpacks to far more than it is long."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        names = [name for name in old.namelist() if not name.endswith("/")]
        big = dice.choice(names)
        for name in names:
            if name != big:
                new.writestr(name, old.read(name))
                continue
            kept = old.read(name) if dice.random() < 0.5 else b""
            with new.open(name, "w", force_zip64=True) as member:
                member.write(kept)
                for _ in range(dice.choice((200, 1200))):
                    member.write(b"\0" * 2**20)
    return out.getvalue()


def relisted(dice: random.Random, data: bytes) -> bytes:
    """A field of the directory at the end, or of a local header."""
    out = bytearray(data)
    sign = dice.choice((b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04"))
    starts = [m.start() for m in re.finditer(re.escape(sign), data)]
    if not starts:
        return flipped(dice, data)
    at = dice.choice(starts) + dice.randrange(4, 46)
    size = dice.choice((1, 2, 4))
    value = dice.choice((0, 1, 255, 65535, 2**31, 2**32 - 1)) % 2 ** (8 * size)
    out[at : at + size] = value.to_bytes(size, "little")
    return bytes(out[: len(data)])


ZIP: tuple[Mutation, ...] = (relisted, relisted, relisted, slipped, *BLIND)


# -- cases -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Sound products, one per layout, and the files of each that are damaged."""

    folder: Path
    safe: Path
    archives: tuple[Path, Path]
    zarr: dict[int, Path]
    item: Path


@dataclass(frozen=True)
class Case:
    """One damaged file of one product."""

    number: int
    family: str
    product: Path
    file: str
    mutation: str


FAMILIES = ("xml", "jp2", "grib", "zip", "zarr", "stac")


def make_corpus(folder: Path) -> Corpus:
    """Write the sound products."""
    made = simulate_l1c(folder / "l1c", size=96)
    safe = Path(made.uri)
    archives = (
        layout_factory.archive(safe, folder / "stored.zip"),
        layout_factory.archive(safe, folder / "deflated.zip", method=zipfile.ZIP_DEFLATED),
    )
    zarr = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in (2, 3):
            (folder / f"v{version}").mkdir()
            zarr[version] = Path(layout_factory.eopf(safe, folder / f"v{version}", version=version))
    item = folder / "item.json"
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": made.name,
        "geometry": None,
        "bbox": [10, 45, 11, 46],
        "properties": {"datetime": "2025-06-15T10:15:59Z", "processing:level": "L1C"},
        "links": [{"rel": "self", "href": item.as_uri()}],
        "assets": {"product": {"href": f"./l1c/{safe.name}"}},
    }
    item.write_text(json.dumps(document))
    return Corpus(folder, safe, archives, zarr, item)


def case_of(corpus: Corpus, dice: random.Random, number: int) -> tuple[Case, Mutation]:
    """What the case of a number damages."""
    family = dice.choices(FAMILIES, weights=(30, 30, 8, 12, 15, 5))[0]
    mutations: tuple[Mutation, ...]
    product, file = corpus.safe, ""
    if family in {"xml", "jp2", "grib"}:
        names = [p.relative_to(product).as_posix() for p in product.rglob("*") if p.is_file()]
        wanted = {"xml": (".xml", ".gml", ".safe"), "jp2": (".jp2",), "grib": ()}[family]
        chosen = [n for n in names if n.endswith(wanted)] if wanted else [
            n for n in names if "/AUX_DATA/" in n and "." not in n.rsplit("/", 1)[-1]
        ]  # fmt: skip
        metadata = [n for n in chosen if n.rsplit("/", 1)[-1] in {"MTD_MSIL1C.xml", "MTD_TL.xml"}]
        if metadata and dice.random() < 0.8:
            chosen = metadata
        file = dice.choice(sorted(chosen))
        mutations = {"xml": XML, "jp2": JP2, "grib": GRIB}[family]
    elif family == "zip":
        product = dice.choice(corpus.archives)
        # Bombs take a second to make: few of them.
        mutations = (bombed,) if dice.random() < 0.03 else ZIP
    elif family == "zarr":
        product = corpus.zarr[dice.choice((2, 3))]
        names = [p.relative_to(product).as_posix() for p in product.rglob("*") if p.is_file()]
        documents = [n for n in names if n.endswith((".json", ".zattrs", ".zarray", ".zmetadata"))]
        roots = [n for n in documents if "/" not in n]
        file = dice.choice(sorted(roots if dice.random() < 0.5 else documents))
        mutations = JSON
        if dice.random() < 0.25:
            file, mutations = dice.choice(sorted(set(names) - set(documents))), BLIND
    else:
        product, mutations = corpus.item, JSON
    mutation = dice.choice(mutations)
    return Case(number, family, product, file, mutation.__name__), mutation
