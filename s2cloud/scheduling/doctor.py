"""What would fail on this machine, found before it does."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from s2cloud.config import load_config
from s2cloud.io.stores import open_store
from s2cloud.io.urls import public_url
from s2cloud.model.errors import CapacityError, S2CloudError, UsageError
from s2cloud.physics import lut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Check", "examine"]

#: A whole tile on two threads takes 3.2 GB at its peak; a part of it runs with less. [byte]
MEMORY_OF_A_TILE: Final = 4_000_000_000
LEAST_MEMORY: Final = 1_000_000_000
#: Free space below which temporary files may not fit. [byte]
LEAST_DISK: Final = 1_000_000_000

_BROKEN_INSTALLATION: Final = UsageError.exit_code
_NEW: Final = "make a new virtual environment and `pip install s2cloud` into it"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What it is.
    found
        What was found, in a few words.
    exit_code
        0 if it works; else the exit code of the commands that will fail by it.
    warning
        Whether it works, but not for everything.
    fix
        What to do, if there is something.
    """

    name: str
    found: str
    exit_code: int = 0
    warning: bool = False
    fix: str = ""

    @property
    def state(self) -> str:
        """``ok``, ``warning`` or ``failure``."""
        return "failure" if self.exit_code else "warning" if self.warning else "ok"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {**asdict(self), "state": self.state}


def examine(
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Check]:
    """Look at the interpreter, libraries, codecs, tables, memory, disk and stores.

    Parameters
    ----------
    read
        Paths or URLs that inputs are to be read from; each is listed.
    write
        Prefixes that products are to be written to; a small object is written and removed.
    storage_options
        Options of the file systems of URLs.

    Returns
    -------
    list of Check
        In the order above; none raises.
    """
    checks: list[Check] = [_python()]
    checks += _libraries()
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("GDAL", _gdal),
        ("JPEG 2000", _jpeg2000),
        ("GRIB", _grib),
        ("compiled code", _compiled),
        *((f"table {name}", _table(name)) for name in lut.available()),
        ("options", _options),
        ("cores", lambda: Check("cores", str(CPU_COUNT))),
        ("memory", _memory),
        ("disk", _disk),
        *((f"read {public_url(url)}", _reads(url, storage_options)) for url in read),
        *((f"write {public_url(url)}", _writes(url, storage_options)) for url in write),
    ]
    for name, look in looks:
        try:
            checks.append(look())
        except S2CloudError as error:
            checks.append(Check(name, str(error), error.exit_code, fix=error.fix))
        except Exception as error:  # noqa: BLE001  # whatever a broken library raises is the finding
            found = f"{type(error).__name__}: {error}"
            checks.append(Check(name, found, _BROKEN_INSTALLATION, fix=_NEW))
    return checks


def _python() -> Check:
    found = f"{platform.python_version()}, {sys.executable}"
    old = sys.version_info < (3, 11)
    return Check("Python", found, _BROKEN_INSTALLATION * old, fix="Python 3.11 or newer" * old)


def _libraries() -> Iterator[Check]:
    """One check of each library that s2cloud needs, and one of each extra."""
    from packaging.requirements import Requirement  # noqa: PLC0415  # with dask

    missing: dict[str, list[str]] = {}
    named = importlib.metadata.metadata("s2cloud").get_all("Provides-Extra") or []
    extras: dict[str, int] = dict.fromkeys(named, 0)
    for text in importlib.metadata.requires("s2cloud") or []:
        wanted = Requirement(text)
        extra = next((x for x in extras if wanted.marker and f'"{x}"' in str(wanted.marker)), "")
        if wanted.name == "s2cloud":  # an extra made of others
            extras.pop(extra, None)
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        fits = bool(version) and wanted.specifier.contains(version, prereleases=True)
        if extra:
            extras[extra] = extras.get(extra, 0) + 1
            if not fits:
                missing.setdefault(extra, []).append(wanted.name)
        elif fits:
            yield Check(f"library {wanted.name}", version)
        else:
            fix = f"pip install '{wanted.name}{wanted.specifier}'"
            found = version or "missing"
            yield Check(f"library {wanted.name}", found, _BROKEN_INSTALLATION, fix=fix)
    for extra in sorted(extras):
        lacks = ", ".join(missing.get(extra, []))
        fix = f"pip install 's2cloud[{extra}]', if you need it" if lacks else ""
        yield Check(f"extra {extra}", f"without {lacks}" if lacks else "installed", fix=fix)


def _gdal() -> Check:
    import rasterio  # noqa: PLC0415  # may be what is broken
    from rasterio.drivers import raster_driver_extensions  # noqa: PLC0415

    known = set(raster_driver_extensions().values())
    if "GTiff" not in known:
        return Check("GDAL", "no driver GTiff", _BROKEN_INSTALLATION, fix=_NEW)
    return Check("GDAL", f"{rasterio.__gdal_version__}, rasterio {rasterio.__version__}")


def _jpeg2000() -> Check:
    """A round trip, for a library may load and not work."""
    import imagecodecs  # noqa: PLC0415  # as above

    image = np.arange(64, dtype="uint16").reshape(8, 8)
    same = np.array_equal(imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(image)), image)
    found = f"{imagecodecs.jpeg2k_version()}, imagecodecs {imagecodecs.__version__}"
    if not same:
        return Check("JPEG 2000", f"{found}: damages images", _BROKEN_INSTALLATION, fix=_NEW)
    return Check("JPEG 2000", found)


def _grib() -> Check:
    import eccodes  # noqa: PLC0415  # as above

    return Check("GRIB", f"ecCodes {eccodes.codes_get_api_version()}")


def _compiled() -> Check:
    """Compiled functions are kept on disk, else every process compiles them for a minute."""
    try:
        from s2cloud.physics import radiometry  # noqa: PLC0415  # raises where numba finds none

        kernel: Any = next(each for each in vars(radiometry).values() if hasattr(each, "stats"))
        folder = Path(kernel.stats.cache_path)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (RuntimeError, OSError) as error:
        fix = "set NUMBA_CACHE_DIR to a folder that may be written to"
        found = f"cannot be kept: {error}"
        return Check("compiled code", found, _BROKEN_INSTALLATION, fix=fix)
    return Check("compiled code", f"kept in {folder}")


def _table(name: str) -> Callable[[], Check]:
    def look() -> Check:
        lut.load("S2A", name)  # verifies the checksum
        return Check(f"table {name}", "checksum fits")

    return look


def _options() -> Check:
    load_config(None)
    given = sorted(name for name in os.environ if name.startswith("S2CLOUD_"))
    return Check("options", ", ".join(given) or "none in the environment")


def _memory() -> Check:
    found = f"{MEMORY_LIMIT / 1e9:.1f} GB for this process"
    if MEMORY_LIMIT < LEAST_MEMORY:
        fix = "a machine, container or limit of 1 GB for parts, of 4 GB for tiles"
        return Check("memory", found, CapacityError.exit_code, fix=fix)
    if MEMORY_LIMIT < MEMORY_OF_A_TILE:
        fix = "parts with --bbox fit; a whole tile takes 3 to 4 GB"
        return Check("memory", found, warning=True, fix=fix)
    return Check("memory", found)


def _disk() -> Check:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_DISK:
        fix = "free some, or set TMPDIR"
        return Check("disk", found, CapacityError.exit_code, fix=fix)
    return Check("disk", found)


def _reads(url: str, options: Mapping[str, Any] | None) -> Callable[[], Check]:
    def look() -> Check:
        names = open_store(url, _options_of(url, options)).listdir()
        name = f"read {public_url(url)}"
        if not names:
            return Check(name, "nothing is there", warning=True, fix="check the address")
        return Check(name, f"{len(names)} entries")

    return look


def _writes(url: str, options: Mapping[str, Any] | None) -> Callable[[], Check]:
    def look() -> Check:
        store = open_store(url, _options_of(url, options))
        name = f".s2cloud-doctor-{secrets.token_hex(8)}"
        store.write(name, b"s2cloud doctor")
        held = store.read(name)
        store.delete(name)
        if held != b"s2cloud doctor":
            raise S2CloudError("the store gave back something else", where=public_url(url))
        return Check(f"write {public_url(url)}", "written, read and removed")

    return look


def _options_of(url: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(options or {}) if "://" in url else {}
