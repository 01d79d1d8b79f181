"""Small SAFE products with ESA's coding, and the pixels that they hold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import eccodes
import numpy as np
import rasterio
import rasterio.shutil
from rasterio.transform import Affine

if TYPE_CHECKING:
    from pathlib import Path

RESOLUTION = {
    **dict.fromkeys(("B02", "B03", "B04", "B08"), 10),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 20),
    **dict.fromkeys(("B01", "B09", "B10"), 60),
}
ORDER = sorted(RESOLUTION, key=lambda b: b[1:] if b != "B8A" else "08A")
ULX, ULY, CRS = 600000.0, 5100000.0, "EPSG:32632"
TIME = "20240715T101031"
MASK_LAYERS = {"CLASSI": 3, "DETFOO": 1, "QUALIT": 8}


@dataclass(frozen=True)
class Product:
    root: Path
    bands: dict[str, np.ndarray[Any, Any]]
    masks: dict[str, np.ndarray[Any, Any]]
    granule: Path

    def image(self, band: str) -> Path:
        return next(self.granule.glob(f"IMG_DATA/*_{band}.jp2"))


def write_jp2(
    path: Path,
    pixels: np.ndarray[Any, Any],
    *,
    pixel_size: float = 10.0,
    tile: int = 256,
    tlm: bool = False,
    corner: tuple[float, float] = (ULX, ULY),
    **options: str,
) -> None:
    """Lossless JPEG 2000 as ESA codes it: 5/3, five resolutions, LRCP, packet lengths."""
    layers = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    profile = {
        "width": layers.shape[2],
        "height": layers.shape[1],
        "count": layers.shape[0],
        "dtype": str(pixels.dtype),
        "crs": CRS,
        "transform": Affine(pixel_size, 0.0, corner[0], 0.0, -pixel_size, corner[1]),
    }
    coding = {
        "REVERSIBLE": "YES",
        "QUALITY": "100",
        "YCBCR420": "NO",
        "PLT": "YES",
        "TLM": "YES" if tlm else "NO",
        "RESOLUTIONS": "5",
        "BLOCKXSIZE": str(tile),
        "BLOCKYSIZE": str(tile),
        "PRECINCTS": ",".join(["{256,256}"] * 5),
        "PROGRESSION": "LRCP",
        "PROFILE": "UNRESTRICTED",
        "GMLJP2": "YES",
        "GEOJP2": "NO",
        **({"NBITS": "15"} if pixels.dtype == np.uint16 else {}),
        **options,
    }
    with warnings.catch_warnings(), rasterio.MemoryFile() as memory:
        # rasterio 1.4 multiplies transforms in a way that affine 3 will not allow one day.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        with memory.open(driver="GTiff", **profile) as target:
            target.write(layers)
        with memory.open() as source:
            rasterio.shutil.copy(source, path, driver="JP2OpenJPEG", **coding)


def scene(cells: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Pixels of all bands; the upper left sixteenth is no-data."""
    rng = np.random.default_rng(seed)
    bands = {}
    for i, band in enumerate(ORDER):
        n = cells * 60 // RESOLUTION[band]
        y, x = np.mgrid[0:n, 0:n] / n
        pixels = 2000 + 100 * i + 1500 * x + 800 * y + rng.normal(0, 60, (n, n))
        pixels[: n // 4, : n // 4] = 0
        bands[band] = np.clip(pixels, 0, 32767).astype(np.uint16)
    return bands


def make_safe(
    folder: Path,
    *,
    cells: int = 64,
    baseline: str = "05.10",
    offset: int | None = -1000,
    tlm: bool = False,
    masks: str = "raster",
    forecasts: bool = True,
    sensor: str = "S2A",
    seed: int = 0,
) -> Product:
    """Write a product of ``cells`` times ``cells`` pixels of 60 m, two tiles a side."""
    tile, orbit = "T32TPS", "A047333"
    name = f"{sensor}_MSIL1C_{TIME}_N{baseline.replace('.', '')}_R022_{tile}_20240715T121500"
    root = folder / f"{name}.SAFE"
    inside = f"GRANULE/L1C_{tile}_{orbit}_{TIME}"
    granule = root / inside
    for sub in ("IMG_DATA", "QI_DATA", "AUX_DATA"):
        (granule / sub).mkdir(parents=True)
    bands = scene(cells, seed)
    tiles = {10: cells * 4, 20: cells * 2, 60: max(32, cells * 2 // 3)}
    for band, pixels in bands.items():
        size = RESOLUTION[band]
        path = granule / "IMG_DATA" / f"{tile}_{TIME}_{band}.jp2"
        write_jp2(path, pixels, pixel_size=size, tile=tiles[size], tlm=tlm)
    written: dict[str, np.ndarray[Any, Any]] = {}
    if masks == "raster":
        written = _raster_masks(granule, cells, tiles)
    elif masks == "gml":
        _polygon_masks(granule, cells)
    if forecasts:
        (granule / "AUX_DATA" / "AUX_ECMWFT").write_bytes(
            b"".join(grib(n, v) for n, v in (("tco3", 0.0065), ("tcwv", 21.5), ("msl", 101300.0)))
        )
        (granule / "AUX_DATA" / "AUX_CAMSFO").write_bytes(grib("z", 2942.0) + grib("aod550", 0.12))
    identifier = f"{sensor}_OPER_MSI_L1C_{{}}_SYNT_20240715T121500"
    (granule / "MTD_TL.xml").write_text(
        tile_xml(
            cells,
            f"{identifier.format('TL')}_{orbit}_{tile}_N{baseline}",
            f"{identifier.format('DS')}_S{TIME}_N{baseline}",
        )
    )
    (root / "MTD_MSIL1C.xml").write_text(product_xml(name, inside, tile, baseline, offset, sensor))
    (root / "manifest.safe").write_text("<manifest/>")
    return Product(root, bands, written, granule)


def _raster_masks(
    granule: Path, cells: int, tiles: dict[int, int]
) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    written = {}
    for band in ("B00", *ORDER):
        size = RESOLUTION.get(band, 60)
        n = cells * 60 // size
        for kind in ("CLASSI",) if band == "B00" else ("DETFOO", "QUALIT"):
            layers = rng.integers(0, 2, (MASK_LAYERS[kind], n, n)).astype(np.uint8)
            if kind == "DETFOO":
                layers = (np.arange(n) * 6 // n + 1).astype(np.uint8)[None, None] * np.ones(
                    (1, n, 1), np.uint8
                )
            path = granule / "QI_DATA" / f"MSK_{kind}_{band}.jp2"
            write_jp2(path, layers, pixel_size=size, tile=tiles[size])
            bits = np.packbits(layers, axis=0, bitorder="little")[0]
            written[f"{kind}_{band}"] = layers[0] if kind == "DETFOO" else bits
    return written


def _polygon_masks(granule: Path, cells: int) -> None:
    side = cells * 60
    square = [(ULX, ULY), (ULX + side / 2, ULY), (ULX + side / 2, ULY - side), (ULX, ULY - side)]
    for band in ORDER:
        feature = _feature(f"detector_footprint-{band}-05-0", "DETECTOR_FOOTPRINT", square)
        (granule / "QI_DATA" / f"MSK_DETFOO_{band}.gml").write_text(_gml(feature))
        defect = _feature("x-D01.0", "QT_DEFECTIVE_PIXELS", square) if band == "B04" else ""
        (granule / "QI_DATA" / f"MSK_DEFECT_{band}.gml").write_text(_gml(defect))
        partial = _feature("y", "QT_PARTIALLY_CORRECTED_PIXELS", square) if band == "B04" else ""
        (granule / "QI_DATA" / f"MSK_NODATA_{band}.gml").write_text(_gml(partial))
    clouds = _feature("OPAQUE.0", "OPAQUE", square) + _feature("CIRRUS.0", "CIRRUS", square)
    (granule / "QI_DATA" / "MSK_CLOUDS_B00.gml").write_text(_gml(clouds))


def _feature(identifier: str, kind: str, ring: list[tuple[float, float]]) -> str:
    points = " ".join(f"{x} {y} 0" for x, y in [*ring, ring[0]])
    return (
        f'<eop:MaskFeature gml:id="{identifier}"><eop:maskType>{kind}</eop:maskType>'
        "<eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing>"
        f'<gml:posList srsDimension="3">{points}</gml:posList>'
        "</gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature>"
    )


def _gml(features: str) -> str:
    return (
        '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
        'xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="m">'
        f"<eop:maskMembers>{features}</eop:maskMembers></eop:Mask>"
    )


def grib(short: str, value: float, *, side: int = 9) -> bytes:
    """One GRIB 1 field on a regular grid, step in minutes."""
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
    try:
        corner = {"First": (46.0, 10.0), "Last": (45.0, 11.5)}
        for which, (latitude, longitude) in corner.items():
            eccodes.codes_set(handle, f"latitudeOf{which}GridPointInDegrees", latitude)
            eccodes.codes_set(handle, f"longitudeOf{which}GridPointInDegrees", longitude)
        for key, number in (("Ni", side), ("Nj", side), ("date", 20240715), ("time", 0)):
            eccodes.codes_set(handle, key, number)
        eccodes.codes_set(handle, "shortName", short)
        eccodes.codes_set(handle, "indicatorOfUnitOfTimeRange", 0)
        eccodes.codes_set(handle, "P1", 100)
        eccodes.codes_set_values(handle, value * (1 + 0.001 * np.arange(side * side)))
        return bytes(eccodes.codes_get_message(handle))
    finally:
        eccodes.codes_release(handle)


def tile_xml(cells: int, tile_id: str, datastrip: str) -> str:
    sizes = "".join(
        f'<Size resolution="{r}"><NROWS>{cells * 60 // r}</NROWS><NCOLS>{cells * 60 // r}</NCOLS>'
        "</Size>"
        f'<Geoposition resolution="{r}"><ULX>{ULX:.0f}</ULX><ULY>{ULY:.0f}</ULY><XDIM>{r}</XDIM>'
        f"<YDIM>-{r}</YDIM></Geoposition>"
        for r in (10, 20, 60)
    )
    views = "".join(
        f'<Viewing_Incidence_Angles_Grids bandId="{i}" detectorId="{d}">'
        f"{_angles(5 + i / 10, 100 + d, hole=d == 4)}</Viewing_Incidence_Angles_Grids>"
        for i in range(13)
        for d in (4, 5)
    )
    means = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{i}"><ZENITH_ANGLE>{5 + i / 10}</ZENITH_ANGLE>'
        "<AZIMUTH_ANGLE>104.5</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>"
        for i in range(13)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<n1:Level-1C_Tile_ID xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/x.xsd">'
        f"<n1:General_Info><TILE_ID>{tile_id}</TILE_ID><DATASTRIP_ID>{datastrip}</DATASTRIP_ID>"
        "<SENSING_TIME>2024-07-15T10:15:31.024Z</SENSING_TIME></n1:General_Info>"
        f"<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>{CRS}</HORIZONTAL_CS_CODE>{sizes}"
        f"</Tile_Geocoding><Tile_Angles><Sun_Angles_Grid>{_angles(30, 150)}</Sun_Angles_Grid>"
        "<Mean_Sun_Angle><ZENITH_ANGLE>30.5</ZENITH_ANGLE><AZIMUTH_ANGLE>150.5</AZIMUTH_ANGLE>"
        f"</Mean_Sun_Angle>{views}<Mean_Viewing_Incidence_Angle_List>{means}"
        "</Mean_Viewing_Incidence_Angle_List></Tile_Angles></n1:Geometric_Info>"
        "</n1:Level-1C_Tile_ID>"
    )


def _angles(zenith: float, azimuth: float, *, hole: bool = False) -> str:
    def grid(tag: str, value: float) -> str:
        rows = [[f"{value + 0.1 * r + 0.01 * c:.3f}" for c in range(3)] for r in range(3)]
        if hole:
            rows[0][0] = "NaN"
        values = "".join(f"<VALUES>{' '.join(row)}</VALUES>" for row in rows)
        return (
            f'<{tag}><COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP>'
            f"<Values_List>{values}</Values_List></{tag}>"
        )

    return grid("Zenith", zenith) + grid("Azimuth", azimuth)


def product_xml(
    name: str, granule: str, tile: str, baseline: str, offset: int | None, sensor: str
) -> str:
    offsets = ""
    if offset is not None:
        offsets = "".join(
            f'<RADIO_ADD_OFFSET band_id="{i}">{offset + i}</RADIO_ADD_OFFSET>' for i in range(13)
        )
        offsets = f"<Radiometric_Offset_List>{offsets}</Radiometric_Offset_List>"
    images = "".join(
        f"<IMAGE_FILE>{granule}/IMG_DATA/{tile}_{TIME}_{b}</IMAGE_FILE>" for b in ORDER
    )
    irradiance = "".join(
        f'<SOLAR_IRRADIANCE bandId="{i}">{1900 - 100 * i}.5</SOLAR_IRRADIANCE>' for i in range(13)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<n1:Level-1C_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/x.xsd">'
        f"<n1:General_Info><Product_Info><PRODUCT_URI>{name}.SAFE</PRODUCT_URI>"
        "<PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
        f'<Datatake datatakeIdentifier="G{sensor}_{TIME}_047333_N{baseline}">'
        f"<SPACECRAFT_NAME>Sentinel-{sensor[1:]}</SPACECRAFT_NAME>"
        "<SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER></Datatake>"
        f"<Granule_List><Granule>{images}</Granule></Granule_List></Product_Info>"
        "<Product_Image_Characteristics><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>"
        f"{offsets}<Reflectance_Conversion><U>0.968</U>"
        f"<Solar_Irradiance_List>{irradiance}</Solar_Irradiance_List></Reflectance_Conversion>"
        "</Product_Image_Characteristics></n1:General_Info></n1:Level-1C_User_Product>"
    )
