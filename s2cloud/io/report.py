"""One HTML page about a product: what it shows, how it was made, what to be careful of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import numpy as np

from s2cloud.algorithms.cirrus import STATES as CIRRUS_STATES
from s2cloud.algorithms.classification import PARALLAX
from s2cloud.io.receipt import Layout, read_receipt
from s2cloud.io.report_charts import class_map, colour_bar, data_url, field_map, histogram
from s2cloud.io.report_pixels import Pictures, encoding_of, pictures_of
from s2cloud.io.stores import open_store
from s2cloud.model.bands import BAND_INFO, BANDS, SENSORS
from s2cloud.model.errors import InputError
from s2cloud.model.palette import CLASS_COLOURS, limits_of
from s2cloud.model.schema import SCL
from s2cloud.processor.mixture import MIXTURE_METHODS
from s2cloud.processor.scene import AOT_METHODS, TERRAIN_METHODS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from s2cloud.io.receipt import Receipt

__all__ = ["REPORT", "report_html", "write_report"]

#: Name of the page in the product folder; not part of the product, can be made again at any time.
REPORT: Final = "report.html"
_TEMPLATE: Final = "report.html.j2"
#: Reflectance at the right end of the histograms.
_BRIGHT: Final = 0.6
_CLEAR: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.WATER, SCL.SNOW_ICE)
_RETRIEVAL: Final = {
    "aot_method": ("aerosol from", AOT_METHODS),
    "aerosol_method": ("kind of aerosol from", MIXTURE_METHODS),
    "terrain_correction": ("terrain correction", TERRAIN_METHODS),
    "cloud_parallax": ("cloud heights by parallax", PARALLAX),
    "adjacency": ("adjacency correction", ("off", "on")),
    "cirrus_correction": ("cirrus correction", CIRRUS_STATES),
}
_NUMBERS: Final = {
    "aot_mean": ("mean optical thickness at 550 nm", "{:.3f}"),
    "aot_uncertainty_mean": ("its one-sigma uncertainty", "{:.3f}"),
    "aot_prior_weight": ("weight of the forecast or constant", "{:.0%}"),
    "aot_lowered": ("taken off, lest land turn negative", "{:.3f}"),
    "aerosol_continental": ("share of continental aerosol", "{:.0%}"),
    "aerosol_maritime": ("share of maritime aerosol", "{:.0%}"),
    "aerosol_urban": ("share of urban aerosol", "{:.0%}"),
    "aerosol_desert": ("share of desert aerosol", "{:.0%}"),
    "aerosol_coarse_uncertainty": ("uncertainty of the coarse share", "{:.0%}"),
    "dark_water_pixels": ("pixels of dark water, 60 m", "{:.0f}"),
    "dark_vegetation_fraction": ("dark vegetation in clear land", "{:.1%}"),
    "tcwv_mean": ("mean water vapour column", "{:.1f} kg m⁻²"),
    "tcwv_uncertainty_mean": ("its one-sigma uncertainty", "{:.1f} kg m⁻²"),
    "tcwv_fraction": ("cells with a water vapour retrieval", "{:.0%}"),
    "elevation_mean": ("mean elevation", "{:.0f} m"),
    "elevation_range": ("range of elevation", "{:.0f} m"),
    "cirrus_slope": ("slope of the cirrus correction", "{:.3f}"),
}


def write_report(
    destination: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> str:
    """Write a page about a product.

    Parameters
    ----------
    destination
        Product folder or ``.zarr`` address, as given to a writer.
    output
        Local file to write; ``report.html`` in the folder of the receipt by default.
    storage_options
        Options of the file system of the destination.

    Returns
    -------
    str
        Address of the page.

    Raises
    ------
    InputError
        If there is no complete product.
    """
    layout = Layout.of(str(destination))
    page = report_html(destination, storage_options=storage_options).encode()
    if output is not None:
        Path(output).write_bytes(page)
        return str(output)
    store = open_store(layout.root, storage_options)
    name = layout.receipt.replace("receipt.json", REPORT)
    store.write(name, page)
    return store.url(name)


def report_html(
    destination: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None
) -> str:
    """Page about a product as text: one file, no scripts, no links to others.

    Parameters
    ----------
    destination
        Product folder or ``.zarr`` address.
    storage_options
        Options of its file system.
    """
    layout = Layout.of(str(destination))
    store = open_store(layout.root, storage_options)
    receipt = read_receipt(store, layout.receipt)
    if receipt is None:
        raise InputError(
            "no complete product",
            where=store.url(layout.receipt),
            expected="a receipt",
            fix="make the product with `s2cloud process` first",
        )
    pictures = pictures_of(store, receipt)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s2cloud.io"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        receipt=receipt,
        source=receipt.source,
        figures=_figures(receipt),
        maps=_maps(pictures),
        shares=_shares(receipt),
        flags=_flags(receipt),
        spectra=_spectra(pictures, receipt),
        fields=_fields(pictures),
        retrieval=_retrieval(receipt),
        meteorology=_meteorology(receipt),
        provenance=_provenance(receipt),
        files=_files(receipt),
        configuration=json.dumps(receipt.provenance.get("configuration", {}), indent=2),
        pixel=f"{pictures.pixel:.0f} m",
        read_from=pictures.source,
    )


def _figures(receipt: Receipt) -> list[tuple[str, str]]:
    shares = receipt.statistics.get("percentages", {})
    figures = [
        ("cloud", f"{shares.get('CLOUDY_PIXEL_PERCENTAGE', float('nan')):.1f} %"),
        ("cloud shadow", f"{shares.get('CLOUD_SHADOW_PERCENTAGE', float('nan')):.1f} %"),
        ("snow", f"{shares.get('SNOW_ICE_PERCENTAGE', float('nan')):.1f} %"),
        ("no data", f"{shares.get('NODATA_PIXEL_PERCENTAGE', float('nan')):.1f} %"),
    ]
    if "mean_aot" in receipt.statistics:
        figures.append(("aerosol, 550 nm", f"{receipt.statistics['mean_aot']:.3f}"))
    if "mean_wvp" in receipt.statistics:
        figures.append(("water vapour", f"{receipt.statistics['mean_wvp']:.1f} kg m⁻²"))
    return [(name, value.replace("nan %", "unknown")) for name, value in figures]


def _maps(pictures: Pictures) -> list[dict[str, Any]]:
    maps: list[dict[str, Any]] = []
    colours = pictures.colours
    if colours is not None:
        alpha = np.where((colours > 0).any(axis=-1, keepdims=True), 255, 0).astype(np.uint8)
        image = np.concatenate([colours, alpha], axis=-1)
        note = "B04, B03, B02; white from a reflectance of 0.25"
        maps.append({"title": "Surface reflectance", "url": data_url(image), "note": note})
    if "scl" in pictures.stored:
        image = class_map(pictures.stored["scl"])
        note = "colours as in the table of classes"
        maps.append({"title": "Scene classification", "url": data_url(image), "note": note})
    for name, title, least in (
        ("aot", "Aerosol, 550 nm", 0.05),
        ("wvp", "Water vapour, kg m⁻²", 2.0),
        ("cld", "Cloud probability, %", 100.0),
    ):
        values = pictures.decoded(name)
        if values is None:
            continue
        limits = (0.0, 100.0) if name == "cld" else limits_of(values, least)
        image = field_map(values, limits, name)
        maps.append({"title": title, "url": data_url(image), "bar": colour_bar(limits, name)})
    return maps


def _shares(receipt: Receipt) -> list[dict[str, Any]]:
    counts = {int(code): n for code, n in receipt.statistics.get("class_counts", {}).items()}
    total = sum(counts.values()) or 1
    widest = max(counts.values(), default=1) or 1
    return [
        {
            "code": int(code),
            "name": code.name.lower().replace("_", " "),
            "colour": CLASS_COLOURS[code],
            "share": f"{100.0 * counts.get(int(code), 0) / total:.2f} %",
            "width": f"{100.0 * counts.get(int(code), 0) / widest:.2f}",
        }
        for code in SCL
    ]


def _flags(receipt: Receipt) -> list[tuple[str, str]]:
    shares: dict[str, float] = receipt.statistics.get("flag_percentages", {})
    return [
        (name.replace("_", " "), f"{share:.2f} %" if share else "none")
        for name, share in shares.items()
    ]


def _spectra(pictures: Pictures, receipt: Receipt) -> list[dict[str, str]]:
    """Histogram of each band over clear pixels, or over all where no pixel is clear."""
    classes = pictures.stored.get("scl")
    clear = None if classes is None else np.isin(classes, [int(code) for code in _CLEAR])
    if clear is not None and not clear.any():
        clear = None
    index = SENSORS.index(receipt.source["sensor"])
    charts = []
    for band in BANDS:
        values = pictures.decoded(band)
        if values is None:
            continue
        if clear is not None:
            values = np.where(clear, values, np.nan)
        known = values[np.isfinite(values)]
        mean = f"mean {known.mean():.3f}" if known.size else "no clear pixel"
        below = 100.0 * float((known < 0).mean()) if known.size else 0.0
        negative = f", {below:.1f} % below 0" if below >= 0.05 else ""
        charts.append(
            {
                "title": f"{band.upper()}  {BAND_INFO[band].wavelength_nm[index]:.0f} nm",
                "note": mean + negative,
                "svg": histogram(
                    values, (-0.05, _BRIGHT), size=(200, 74), ticks=(0.0, 0.2, 0.4, _BRIGHT)
                ),
            }
        )
    return charts


def _fields(pictures: Pictures) -> list[dict[str, str]]:
    charts = []
    for name, title, least in (
        ("aot", "Aerosol optical thickness", 0.05),
        ("wvp", "Water vapour, kg m⁻²", 2.0),
    ):
        values = pictures.decoded(name)
        if values is None or not np.isfinite(values).any():
            continue
        limits = limits_of(values, least)
        charts.append(
            {
                "title": title,
                "note": f"{_span(values)}",
                "svg": histogram(values, limits, size=(410, 90), bins=_bins(name, limits)),
            }
        )
    return charts


def _bins(name: str, limits: tuple[float, float]) -> int:
    """Number of bars that hold whole steps of the stored integers each, none by chance more."""
    steps = round((limits[1] - limits[0]) / encoding_of(name).scale)
    per_bar = max(1, -(-steps // 60))
    return max(1, steps // per_bar)


def _span(values: npt.NDArray[np.float64]) -> str:
    low, middle, high = np.nanpercentile(values, [5.0, 50.0, 95.0])
    return f"5, 50, 95 %: {low:.3g}, {middle:.3g}, {high:.3g}"


def _retrieval(receipt: Receipt) -> list[tuple[str, str]]:
    numbers = {
        name.rpartition("/")[2]: value
        for name, value in receipt.statistics.get("numbers", {}).items()
    }
    rows = [
        (title, _named(words, int(numbers[name])))
        for name, (title, words) in _RETRIEVAL.items()
        if name in numbers
    ]
    model = receipt.provenance.get("meteorology", {}).get("aerosol_model")
    if model:
        rows.insert(0, ("aerosol model", str(model)))
    rows += [
        (title, form.format(numbers[name]))
        for name, (title, form) in _NUMBERS.items()
        if name in numbers and np.isfinite(numbers[name])
    ]
    known = {*_RETRIEVAL, *_NUMBERS}
    rows += [
        (name.replace("_", " "), f"{value:.4g}")
        for name, value in sorted(numbers.items())
        if name not in known and np.isfinite(value)
    ]
    return rows


def _named(words: Sequence[str], index: int) -> str:
    return words[index].replace("_", " ") if 0 <= index < len(words) else str(index)


def _meteorology(receipt: Receipt) -> list[tuple[str, str, str]]:
    found: dict[str, Any] = receipt.provenance.get("meteorology", {})
    sources: dict[str, Any] = found.get("sources", {})
    units = {"tco3": "{:.0f} DU", "pressure": "{:.1f} hPa", "tcwv": "{:.1f} kg m⁻²"}
    units |= {"aot550": "{:.3f}", "elevation": "{:.0f} m"}
    return [
        (name, form.format(found[name]), str(sources.get(name, "")))
        for name, form in units.items()
        if isinstance(found.get(name), int | float)
    ]


def _provenance(receipt: Receipt) -> list[tuple[str, str]]:
    provenance, source = receipt.provenance, receipt.source
    table = provenance.get("look_up_table") or {}
    auxiliary = provenance.get("auxiliary") or []
    rows = [
        ("input", source.get("name", "")),
        ("read from", source.get("uri", "")),
        ("baseline of the input", source.get("baseline", "")),
        ("datatake", source.get("datatake", "")),
        ("software", receipt.software),
        ("configuration", receipt.config_digest),
        ("look-up table", f"{table.get('aerosol', '')} {str(table.get('sha256', ''))[:16]}"),
        ("auxiliary maps", ", ".join(_words(one) for one in auxiliary) or "none"),
        ("identity of the content", receipt.digest[:16]),
        ("committed", receipt.created),
    ]
    return [(name, str(value)) for name, value in rows if str(value).strip()]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or value.get("uri") or json.dumps(value))
    return str(value)


def _files(receipt: Receipt) -> dict[str, Any]:
    groups: dict[str, tuple[int, int]] = {}
    for asset in receipt.assets:
        kind = asset.href.rpartition(".")[2]
        number, size = groups.get(kind, (0, 0))
        groups[kind] = (number + 1, size + asset.size)
    rows = [
        (kind, str(number), f"{size / 1e6:.1f} MB")
        for kind, (number, size) in sorted(groups.items(), key=lambda item: -item[1][1])
    ]
    timings = [
        (name.removesuffix("_s").replace("_", " "), f"{value:.1f} s")
        for name, value in receipt.timings.items()
    ]
    return {"rows": rows, "timings": timings, "size": f"{receipt.size / 1e6:.1f} MB"}
