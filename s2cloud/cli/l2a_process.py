"""``s2cloud l2a-process``: the command line of Sen2Cor, answered by s2cloud."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from s2cloud.cli import console
from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from s2cloud.io.gipp import Translation

__all__ = ["l2a_process"]

#: Sen2Cor knows two exit codes.
FAILED: Final = 1

#: Options that ask for something that cannot be had here, and what to do instead.
_REFUSED: Final = {
    "mode": "the steps of ESA's ground segment are not split here; leave --mode out",
    "datastrip": "a part of a ground-segment run; give the L1C product as input",
    "tile": "a part of a ground-segment run; give the L1C product as input",
    "raw": "no ENVI files; convert with `gdal_translate -of ENVI`",
    "cr_only": "a product without pixels is not made; leave --cr_only out",
    "hyper_ms": "Sentinel-2 only; leave --Hyper_MS out",
}
#: Options that change nothing here, and why.
_LEFT_OUT: Final = {
    "img_database_dir": "there is no image database",
    "res_database_dir": "there is no result database",
    "processing_centre": "the product names s2cloud, not a centre of the ground segment",
    "archiving_centre": "the product names s2cloud, not a centre of the ground segment",
    "processing_baseline": "baselines are ESA's: products made elsewhere are 99.99",
    "gip_l2a_pb": "baselines are ESA's: products made elsewhere are 99.99",
    "sc_cog": "for COG of the classes: `s2cloud process --format cog --bands scl`",
}


@click.command("l2a-process", short_help="Take the command line and parameter files of Sen2Cor.")
@click.argument("input_dir", metavar="INPUT_DIR", required=False)
@click.option("--mode", metavar="MODE", help="Refused: generate_datastrip, process_tile.")
@click.option("--resolution", type=click.Choice(["10", "20", "60"]), help="All if left out.")
@click.option("--datastrip", metavar="PATH", help="Refused, as --mode.")
@click.option("--tile", metavar="PATH", help="Refused, as --mode.")
@click.option("--output_dir", metavar="PATH", help="That of INPUT_DIR by default.")
@click.option("--work_dir", metavar="PATH", help="Where it grows; --output_dir by default.")
@click.option("--img_database_dir", metavar="PATH", help="Without effect.")
@click.option("--res_database_dir", metavar="PATH", help="Without effect.")
@click.option("--processing_centre", metavar="TEXT", help="Without effect.")
@click.option("--archiving_centre", metavar="TEXT", help="Without effect.")
@click.option("--processing_baseline", metavar="NN.NN", help="Without effect.")
@click.option("--raw", is_flag=True, help="Refused: ENVI files.")
@click.option("--tif", is_flag=True, help="A folder of GeoTIFFs (COG) in place of SAFE.")
@click.option("--sc_only", is_flag=True, help="Classes and their probabilities only.")
@click.option("--sc_classic", is_flag=True, help="Classes as before version 2.10.")
@click.option("--sc_cog", is_flag=True, help="Without effect.")
@click.option("--cr_only", is_flag=True, help="Refused: an empty product.")
@click.option("--Hyper_MS", "hyper_ms", is_flag=True, help="Refused: other sensors.")
@click.option("--debug", is_flag=True, help="Tell everything.")
@click.option("--GIP_L2A", "gip_l2a", metavar="FILE", help="L2A_GIPP.xml.")
@click.option("--GIP_L2A_SC", "gip_l2a_sc", metavar="FILE", help="L2A_CAL_SC_GIPP.xml.")
@click.option("--GIP_L2A_AC", "gip_l2a_ac", metavar="FILE", help="L2A_CAL_AC_GIPP.xml.")
@click.option("--GIP_L2A_PB", "gip_l2a_pb", metavar="FILE", help="Without effect.")
@click.option("--print_config", is_flag=True, help="Print the options as YAML and leave.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.version_option(VERSION, "--version", prog_name="s2cloud l2a-process")
def l2a_process(**given: Any) -> int:
    """Make the L2A product of INPUT_DIR as L2A_Process would be asked to.

    The product, S2x_MSIL2A_..._N9999_....SAFE, goes beside INPUT_DIR or into --output_dir. Every
    parameter that cannot be followed is named, on stderr. Exits with 0, also if the product is
    there already, else with 1; with 2 if the command line is wrong.
    """
    from s2cloud.scheduling.failures import as_s2cloud_error  # noqa: PLC0415  # keep --help fast

    try:
        return _answer(given)
    except Exception as error:
        known = as_s2cloud_error(error)
        if known is None:
            raise
        console.say_error(str(known))
        console.say("Application terminated with at least one error.")
        return FAILED


def _answer(given: dict[str, Any]) -> int:
    from s2cloud.io.gipp import translate  # noqa: PLC0415  # keep --help fast
    from s2cloud.model.errors import UsageError  # noqa: PLC0415

    for name, words in _REFUSED.items():
        if given[name]:
            option = {"hyper_ms": "Hyper_MS"}.get(name, name)
            raise UsageError("cannot be done", where=f"--{option}", fix=words)
    kinds = {"L2A": "gip_l2a", "SC": "gip_l2a_sc", "AC": "gip_l2a_ac"}
    asked = translate({kind: given[name] for kind, name in kinds.items() if given[name]})
    if given["sc_classic"]:
        classes = asked.config.classification.model_copy(update={"variant": "classic"})
        asked.config = asked.config.model_copy(update={"classification": classes})
    if given["print_config"]:
        import yaml  # noqa: PLC0415

        _tell(asked, given)
        values = asked.config.model_dump(mode="json", exclude_defaults=True)
        print(json.dumps(values) if given["as_json"] else yaml.safe_dump(values, sort_keys=False))
        return 0
    if given["input_dir"] is None:
        raise UsageError("no product", where="INPUT_DIR", expected="the path of an L1C product")
    console.set_up_logging(2 if given["debug"] else asked.run.get("verbose", 0))
    _tell(asked, given)
    made = _make(asked, given)
    console.say("Progress[%]: 100.00 : Application terminated successfully.")
    if given["as_json"]:
        notes = [{"parameter": note.name, "value": note.value, "became": dict(note.options),
                  "words": note.words} for note in asked.notes]  # fmt: skip
        print(json.dumps({"product": str(made), "parameters": notes}))
    else:
        print(made)
    return 0


def _tell(asked: Translation, given: dict[str, Any]) -> None:
    """Name what is not done; with --debug every parameter."""
    for name, words in _LEFT_OUT.items():
        if given[name]:
            option = name.replace("gip_l2a_pb", "GIP_L2A_PB")
            console.say(f"warning: --{option} is left out: {words}")
    for note in asked.notes:
        if note.warn or given["debug"]:
            console.say(f"{'warning' if note.warn else 'debug'}: {note}")


def _make(asked: Translation, given: dict[str, Any]) -> Path:
    """Make the product below the work folder and move it to its place."""
    from s2cloud.io.open import open_l1c  # noqa: PLC0415  # keep --help fast
    from s2cloud.io.safe_names import SafeNames  # noqa: PLC0415
    from s2cloud.model.errors import UsageError  # noqa: PLC0415
    from s2cloud.model.granule import granule  # noqa: PLC0415
    from s2cloud.scheduling.cluster import cluster  # noqa: PLC0415
    from s2cloud.scheduling.jobs import Job, run_job  # noqa: PLC0415

    source = Path(given["input_dir"]).absolute()
    target = Path(given["output_dir"] or source.parent).absolute()
    l1c = open_l1c(str(source))
    names = SafeNames.of(granule(l1c))
    if names is None:
        raise UsageError(
            "not a product that has a Level-2A name", where=str(source),
            expected="S2x_MSIL1C_....SAFE", fix="use `s2cloud process`",
        )  # fmt: skip
    product = granule(l1c).l2a_name
    wanted = target / (product if given["tif"] else names.folder)
    if wanted.exists():
        console.say(f"{wanted.name} is there already")
        return wanted
    work = Path(given["work_dir"] or target).absolute()
    for folder in (work, target):
        folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".s2cloud-", dir=work))
    job = Job(
        source=str(source),
        destination=str(scratch),
        formats=("cog",) if given["tif"] else ("safe",),
        bands=("scl", "cld", "snw") if given["sc_only"] else None,
        resolution=_resolutions(given["resolution"], asked.run),
        bbox=_window(l1c, asked.run),
        bbox_crs=str(l1c["measurements/reflectance/r10m"].attrs["crs"]),
        config=asked.config,
    )
    try:
        with (
            cluster("threads", workers=asked.run.get("threads")),
            console.progress_bar("processing") as on_progress,
        ):
            run_job(job, on_progress=on_progress)
        made = scratch / product
        shutil.move(made if given["tif"] else made / names.folder, wanted)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return wanted


def _resolutions(chosen: str | None, run: dict[str, Any]) -> tuple[int, ...] | None:
    """Pixel sizes of a run: 10 includes 20, and both 60 unless Downsample_20_to_60 is FALSE."""
    if chosen == "60":
        return (60,)
    coarse = (60,) if run.get("resolution_60", True) else ()
    return ((20,) if chosen == "20" else (10, 20)) + coarse


def _window(l1c: Any, run: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """Bounds of a region of interest, given by its middle in pixels of 10 m."""
    if "row0" not in run:
        return None
    pixels = l1c["measurements/reflectance/r10m"]
    left, top = float(pixels["x"][0]) - 5.0, float(pixels["y"][0]) + 5.0
    west = left + 10.0 * (run["col0"] - run["columns"] // 2)
    north = top - 10.0 * (run["row0"] - run["rows"] // 2)
    return (west, north - 10.0 * run["rows"], west + 10.0 * run["columns"], north)
