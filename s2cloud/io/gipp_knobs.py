"""What each parameter of Sen2Cor's files means here: one row per knob.

Names, ranges and meanings are those of the files that Sen2Cor 2.8 to 2.12 install (L2A_GIPP.xml,
L2A_CAL_SC_GIPP.xml, L2A_CAL_AC_GIPP.xml) and of its Software User Manual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KNOBS", "RUN_OPTIONS", "Knob", "aot550_of_visibility"]

#: Options of a run beside those of the configuration.
RUN_OPTIONS: Final = (
    *("run.verbose", "run.threads", "run.resolution_60", "run.dem_directory"),
    *("run.dem_reference", "run.dem_required", "run.row0", "run.col0", "run.rows", "run.columns"),
)


@dataclass(frozen=True, slots=True)
class Knob:
    """One parameter of Sen2Cor.

    Attributes
    ----------
    name
        Tag in the parameter file.
    file
        ``L2A``, ``SC`` or ``AC``: which file it stands in.
    options
        What it sets here: options of the configuration, and of the run (``run. ...``); none if
        nothing here does what it asks for.
    words
        How it is understood, or why it has no counterpart.
    translate
        Its text to values of `options`; raises ValueError for what Sen2Cor refuses, too.
    neutral
        Values (in capitals) that need no word where there is no counterpart: they ask for what is
        done anyway, or are Sen2Cor's own defaults. None if no value does.
    """

    name: str
    file: str
    options: tuple[str, ...]
    words: str
    translate: Callable[[str], Mapping[str, Any]] = lambda _: {}
    neutral: tuple[str, ...] | None = ()


def aot550_of_visibility(visibility_km: float, altitude_km: float = 0.0) -> float:
    """Optical thickness at 550 nm that a visibility stands for in Sen2Cor.

    Parameters
    ----------
    visibility_km
        Horizontal visibility, 5 to 120. [km]
    altitude_km
        Elevation of the ground, 0 to 2.5. [km]

    Returns
    -------
    float
        Aerosol optical thickness at 550 nm. [1]

    Notes
    -----
    ``ln AOT = a(z) + b(z) ln VIS`` (Richter and Schlaepfer, ATCOR theoretical background), with
    parabolas through the values of a and b at 0, 0.7 and 2.5 km.
    """
    z = altitude_km
    a = 1.54641 - 0.182321 * z - 0.026235 * z * z
    b = -0.854022 + 0.011604 * z + 0.003096 * z * z
    return math.exp(a + b * math.log(visibility_km))


def _truth(text: str) -> bool:
    words = {"TRUE": True, "1": True, "FALSE": False, "0": False}
    if text.upper() not in words:
        raise ValueError("TRUE or FALSE")
    return words[text.upper()]


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f"a number from {low:g} to {high:g}")
    return value


def _among(text: str, words: Mapping[str, Any]) -> Any:
    if text.upper() not in words:
        raise ValueError(" or ".join(words))
    return words[text.upper()]


def _ranged(
    option: str, low: float, high: float, factor: float = 1.0
) -> Callable[[str], dict[str, Any]]:
    return lambda text: {option: round(_number(text, low, high) * factor, 9)}


def _flag(option: str) -> Callable[[str], dict[str, Any]]:
    return lambda text: {option: _truth(text)}


def _median(text: str) -> dict[str, Any]:
    side = int(_number(text, 0, 10))
    return {"classification.median": side + 1 if side and side % 2 == 0 else side}


def _ozone(text: str) -> dict[str, Any]:
    column = _number(text, 0, 600)
    if column == 0:
        return {}
    return {"atmosphere.tco3": column, "atmosphere.ozone_climatology": False}


def _visibility_mode(text: str) -> dict[str, Any]:
    method = _among(text, {"0": "constant", "1": "dark_vegetation"})
    return {"aerosol.method": method}


_EXPONENTS: Final = {
    "1": (1.0, 1.0),
    "2": (0.5, 0.5),
    "11": (0.75, 1 / 3),
    "12": (0.75, 1.0),
    "21": (0.375, 1 / 6),
    "22": (0.375, 0.5),
}


def _brdf(text: str) -> dict[str, Any]:
    if text == "0":
        return {"terrain.limit": False}
    visible, infrared = _among(text, _EXPONENTS)
    return {
        "terrain.limit": True,
        "terrain.limit_incidence": None,
        "terrain.limit_exponent_visible": visible,
        "terrain.limit_exponent_infrared": infrared,
    }


def _place(option: str) -> Callable[[str], dict[str, Any]]:
    """Folder or address, NONE for none."""
    return lambda text: {} if text.upper() == "NONE" else {option: text}


def _window(option: str) -> Callable[[str], dict[str, Any]]:
    def translate(text: str) -> dict[str, Any]:
        if text.upper() == "OFF":
            return {}
        if not text.isdigit() or int(text) % 6:
            raise ValueError("OFF, or a multiple of 6")
        return {option: int(text)}

    return translate


def _threads(text: str) -> dict[str, Any]:
    return {} if text.upper() == "AUTO" else {"run.threads": int(_number(text, 1, 8))}


_LEVELS: Final = {"NOTSET": 2, "DEBUG": 2, "INFO": 1, "WARNING": 0, "ERROR": 0, "CRITICAL": 0}
_AEROSOLS: Final = {"RURAL": "continental", "MARITIME": "maritime", "AUTO": "auto"}
_MASKS: Final = "pixels that the quality masks call lost are always left out"
_WVP: Final = "water vapour is always retrieved from B09 and used"
_LIMITS: Final = (
    "terrain.limit",
    "terrain.limit_incidence",
    "terrain.limit_exponent_visible",
    "terrain.limit_exponent_infrared",
)

_L2A: Final = (
    Knob("Log_Level", "L2A", ("run.verbose",), "as `-v` and `-vv`",
         lambda text: {"run.verbose": _among(text, _LEVELS)}),
    Knob("row0", "L2A", ("run.row0",),
         "row of the middle of the window; AUTO is not known", _window("run.row0")),
    Knob("col0", "L2A", ("run.col0",), "column of it", _window("run.col0")),
    Knob("nrow_win", "L2A", ("run.rows",), "rows of the window", _window("run.rows")),
    Knob("ncol_win", "L2A", ("run.columns",), "columns of it", _window("run.columns")),
    Knob("Nr_Threads", "L2A", ("run.threads",), "threads of all work, not of decoding alone",
         _threads),
    Knob("Product_DOI", "L2A", (), "a product made here is not the one that this DOI names",
         neutral=None),
    Knob("Product_Generator", "L2A", (), "the product names s2cloud and its version",
         neutral=("NONE",)),
    Knob("DEM_Directory", "L2A", ("run.dem_directory",),
         "`auxiliary.dem`; looked for in `$SEN2COR_HOME`, then in the current folder",
         _place("run.dem_directory")),
    Knob("DEM_Reference", "L2A", ("run.dem_reference",),
         "where DEM_Directory is not there: an address of Copernicus DEM becomes `auxiliary.dem`; "
         "CDSE-GLO-30 and -90 name a folder's contents only", _place("run.dem_reference")),
    Knob("Force_Exit_On_DEM_Error", "L2A", ("run.dem_required",),
         "TRUE: no product without the elevation map; FALSE: flat ground and a warning",
         _flag("run.dem_required")),
    Knob("Generate_DEM_Output", "L2A", (), "the elevation map is not copied into the product",
         neutral=("FALSE",)),
    Knob("Generate_TCI_Output", "L2A", (), "the product always holds TCI", neutral=("TRUE",)),
    Knob("Generate_DDV_Output", "L2A", (),
         "no map of dark pixels; their share is in the provenance", neutral=("FALSE",)),
    Knob("Handle_L1C_QLT_Mask", "L2A", (), _MASKS, neutral=("TRUE",)),
    Knob("Downsample_20_to_60", "L2A", ("run.resolution_60",),
         "FALSE: no rasters of 60 m", _flag("run.resolution_60")),
    Knob("PSD_Version", "L2A", (), "metadata follow PSD 14 whatever the input",
         neutral=("DEFAULT",)),
    *(Knob(name, "L2A", (), "names a schema of Sen2Cor's own", neutral=None)
      for name in ("PSD_Scheme", "GIPP_Scheme", "SC_Scheme", "AC_Scheme", "PB_Scheme",
                   "QI_Scheme")),
    Knob("Median_Filter", "L2A", ("classification.median",), "an even side becomes the next odd",
         _median),
    Knob("Aerosol_Type", "L2A", ("aerosol.model",),
         "RURAL is `continental`; AUTO is `auto`, which mixes four aerosols",
         lambda text: {"aerosol.model": _among(text, _AEROSOLS)}),
    Knob("Mid_Latitude", "L2A", (),
         "there are no tables by season: ozone, water vapour and pressure are those of the place "
         "and time", neutral=("SUMMER",)),
    Knob("Ozone_Content", "L2A", ("atmosphere.tco3", "atmosphere.ozone_climatology"),
         "used only where the product brings no ozone column; 0 leaves the defaults", _ozone),
    Knob("WV_Correction", "L2A", (), _WVP, neutral=("1",)),
    Knob("VIS_Update_Mode", "L2A", ("aerosol.method",),
         "0: `constant`, the optical thickness of Visibility everywhere; 1: `dark_vegetation`",
         _visibility_mode),
    Knob("WV_Watermask", "L2A", (),
         "water, cloud and shadow are filled from land around them, nearest first",
         neutral=("1",)),
    Knob("Cirrus_Correction", "L2A", ("surface.cirrus_correction",), "the same",
         _flag("surface.cirrus_correction")),
    Knob("DEM_Terrain_Correction", "L2A", ("terrain.enabled",),
         "FALSE leaves out slopes and elevation by pixel; Sen2Cor keeps elevation",
         _flag("terrain.enabled")),
    Knob("BRDF_Correction", "L2A", _LIMITS,
         "codes 1 to 22 set the exponents for all land, not for vegetation alone", _brdf),
    Knob("BRDF_Lower_Bound", "L2A", ("terrain.limit_lower_bound",), "the same",
         _ranged("terrain.limit_lower_bound", 0.1, 0.25)),
    Knob("Adj_Km", "L2A", ("surface.adjacency_km",),
         "side of a box there, range within which the weight falls to 1 / e here",
         _ranged("surface.adjacency_km", 0.0, 10.0)),
    Knob("Visibility", "L2A", ("aerosol.fallback_aot550",),
         "as optical thickness at Altitude: 40 km are 0.2 at 0.1 km",
         _ranged("aerosol.fallback_aot550", 5.0, 120.0)),
    Knob("Altitude", "L2A", ("atmosphere.elevation",), "in metres, where no map tells",
         _ranged("atmosphere.elevation", 0.0, 2.5, 1000.0)),
    Knob("Smooth_WV_Map", "L2A", (),
         "the map is retrieved at 60 m and smoothed only where it is filled "
         "(`water_vapour.smoothing_km`)", neutral=("100",)),
    Knob("WV_Threshold_Cirrus", "L2A", ("surface.cirrus_minimum_tcwv",), "1 cm is 10 kg m-2",
         _ranged("surface.cirrus_minimum_tcwv", 0.1, 1.0, 10.0)),
    Knob("Database_Compression_Level", "L2A", (), "there is no scratch database", neutral=None),
    Knob("Nr_Processes", "L2A", (), "of version 2.1: take `s2cloud batch --workers`",
         neutral=("1", "AUTO")),
    Knob("Target_Directory", "L2A", (), "of version 2.1: take --output_dir",
         neutral=("DEFAULT", "NONE")),
    Knob("DEM_Unit", "L2A", (), "of version 2.1: elevation is in metres", neutral=("0",)),
    Knob("Atm_Data_Filename", "L2A", (), "of version 2.1: take Aerosol_Type", neutral=None),
)  # fmt: skip

_THRESHOLDS: Final = {
    "T1_B02": "blue_low", "T2_B02": "blue_high", "T1_B04": "red_low", "T2_B04": "red_high",
    "T1_B8A": "nir_low", "T2_B8A": "nir_high", "T1_B10": "cirrus_low", "T2_B10": "cirrus_high",
    "T1_B12": "snow_ring_swir", "T_CLOUD_LP": "cloud_low", "T_CLOUD_MP": "cloud_medium",
    "T_CLOUD_HP": "cloud_high", "T1_NDSI_CLD": "ndsi_cloud_low", "T2_NDSI_CLD": "ndsi_cloud_high",
    "T1_NDSI_SNW": "ndsi_snow_low", "T2_NDSI_SNW": "ndsi_snow_high", "T1_NDVI": "ndvi_low",
    "T2_NDVI": "ndvi_high", "T1_SNOW": "snow_confidence", "T1_R_B02_B04": "blue_red_low",
    "T2_R_B02_B04": "blue_red_high", "T2_R_B8A_B03": "nir_green",
    "T11_B02": "soil_limit_slope", "T12_B02": "soil_limit_offset",
    "T11_R_B02_B11": "soil_ratio_low", "T12_R_B02_B11": "soil_ratio_high",
    "T21_R_B02_B11": "water_ratio_low", "T22_R_B02_B11": "water_ratio_high",
    "T21_B12": "water_limit_slope", "T22_B12": "water_limit_offset",
    "T1_R_B8A_B11": "rock_ratio_low", "T2_R_B8A_B11": "rock_ratio_high",
}  # fmt: skip
_UNREAD: Final = (
    *("T2_B12", "T2_SNOW", "T1_R_B8A_B03", "T_SDW"),
    *("RV_B2", "RV_B3", "RV_B4", "RV_B8", "RV_B11", "RV_B12"),
)
_SC_MAPS: Final = {
    "Snow_Map": "snow_climatology",
    "ESACCI_WaterBodies_Map": "water_bodies",
    "ESACCI_LandCover_Map": "land_cover",
    "ESACCI_SnowCondition_Map_Dir": "snow_condition",
}
_CODES: Final = (
    *("NO_DATA", "SATURATED_DEFECTIVE", "DARK_FEATURES", "CLOUD_SHADOWS", "VEGETATION"),
    *("NOT_VEGETATED", "WATER", "UNCLASSIFIED", "MEDIUM_PROBA_CLOUDS", "HIGH_PROBA_CLOUDS"),
    *("THIN_CIRRUS", "SNOW_ICE"),
)
_SC: Final = (
    *(
        Knob(name, "SC", (f"auxiliary.{ours}",), "used if it is there, looked for as DEM_Directory",
             _place(f"auxiliary.{ours}"))
        for name, ours in _SC_MAPS.items()
    ),
    *(
        Knob(name, "SC", (f"classification.thresholds.{ours}",), "the same",
             _ranged(f"classification.thresholds.{ours}", -100.0, 100.0))
        for name, ours in _THRESHOLDS.items()
    ),
    *(Knob(name, "SC", (), "no rule of the operational versions reads it", neutral=None)
      for name in _UNREAD),
    *(Knob(name, "SC", (), "the numbers of the classes are those of ESA's products",
           neutral=(str(code),)) for code, name in enumerate(_CODES)),
    Knob("T_B02_B12", "SC", (),
         "cloud shadow is found by where it can fall and how dark it is there",
         neutral=("0.018",)),
)  # fmt: skip

_RETRIEVAL: Final = "belongs to ATCOR's search for dark pixels; `aerosol` weighs its evidence"
_SCALING: Final = "blue path radiance is not rescaled; `aerosol.model: auto` mixes aerosols"
_GUESS: Final = "the retrieval needs no first guess"
_RELIEF: Final = "the terrain correction has other terms, see `terrain`"
_OWN: Final = "tables, wavelengths and calibration are s2cloud's own"
#: Why there is no counterpart, and what Sen2Cor's own file says.
_AC_ALONE: Final = {
    "AC_Min_Ddv_Area": (_RETRIEVAL, "2"), "AC_Swir_Refl_Lower_Th": (_RETRIEVAL, "0.01"),
    "AC_Swir_22um_Red_Refl_Ratio": (_RETRIEVAL, "0.5"),
    "AC_Red_Blue_Refl_Ratio": (_RETRIEVAL, "0.5"),
    "AC_Cut_Off_Aot_Iter_Vegetation": (_RETRIEVAL, "0.01"),
    "AC_Cut_Off_Aot_Iter_Water": (_RETRIEVAL, "-0.005"),
    "AC_Swir_Refl_Ndvi_Th": (_RETRIEVAL, "0.1"), "AC_Ddv_Swir_Refl_Th1": (_RETRIEVAL, "0.05"),
    "AC_Ddv_Swir_Refl_Th2": (_RETRIEVAL, "0.1"), "AC_Ddv_Swir_Refl_Th3": (_RETRIEVAL, "0.12"),
    "AC_Ddv_16um_Refl_Th1": (_RETRIEVAL, "0.1"), "AC_Ddv_16um_Refl_Th2": (_RETRIEVAL, "0.15"),
    "AC_Ddv_16um_Refl_Th3": (_RETRIEVAL, "0.18"), "AC_Dbv_Nir_Refl_Th": (_RETRIEVAL, "0.35"),
    "AC_Dbv_Ndvi_Th": (_RETRIEVAL, "0.66"), "AC_Red_Ref_Refl_Th": (_RETRIEVAL, "0.02"),
    "AC_Dbv_Red_Veget_Tst_Ndvi_Th": (_RETRIEVAL, "0.4"),
    "AC_Dbv_Red_Veget_Refl_Th": (_RETRIEVAL, "0.15"),
    "AC_Ddv_Smooting_Window": ("evidence is spread by `aerosol.smoothing_km`", "1"),
    "Scaling_Limiter": (_SCALING, "TRUE"), "Scaling_Disabler": (_SCALING, "TRUE"),
    "min_sc_blu": (_SCALING, "0.9"), "max_sc_blu": (_SCALING, "1.1"),
    "AC_Aerosol_Type_Ratio_Th": (_SCALING, "0.05"),
    "AC_Limit_Area_Path_Rad_Scale": (_SCALING, "0"), "AC_Spr_Refl_Percentage": (_SCALING, "0.25"),
    "AC_Spr_Refl_Promille": (_SCALING, "0.3"), "AC_Wv_Iter_Start_Summer": (_GUESS, "1"),
    "AC_Wv_Iter_Start_Winter": (_GUESS, "0.4"), "AC_Topo_Corr_Th": (_RELIEF, "0.01"),
    "AC_Slope_Th": (_RELIEF, "6"), "AC_Dem_P2p_Val": (_RELIEF, "50"),
    "AC_Rng_Nbhd_Terrain_Corr": (_RELIEF, "0.5"), "AC_Max_Nr_Topo_Iter": (_RELIEF, "3"),
    "AC_Vegetation_Index_Th": (_RELIEF, "3"), "AC_Terrain_Refl_Start": (_RELIEF, "0.1"),
}  # fmt: skip
_AC: Final = (
    Knob("AC_Topo_Corr_Cutoff", "AC", ("terrain.maximum_reflectance",), "the same",
         _ranged("terrain.maximum_reflectance", 1.0, 3.0)),
    Knob("Rho_Retrieval_Step2", "AC", (), "adjacency is switched off by `surface.adjacency_km: 0`",
         neutral=("TRUE",)),
    *(Knob(name, "AC", (), words, neutral=(default,))
      for name, (words, default) in _AC_ALONE.items()),
    *(Knob(name, "AC", (), _OWN, neutral=None) for name in ("Lib_Dir", "wavelength", "fwhm")),
)  # fmt: skip

#: All parameters that are known, by file and name.
KNOBS: Final = {(knob.file, knob.name): knob for knob in (*_L2A, *_SC, *_AC)}
