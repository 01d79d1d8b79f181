"""Sen2Cor's parameter files: what each parameter becomes, and that none passes in silence."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from pydantic import BaseModel

from s2cloud.config import ProcessorConfig
from s2cloud.io.gipp import translate
from s2cloud.io.gipp_knobs import KNOBS, RUN_OPTIONS, aot550_of_visibility
from s2cloud.model.errors import UsageError

ROOTS = {
    "L2A": "Level-2A_Ground_Image_Processing_Parameter",
    "SC": "Level-2A_CAL_SC_Ground_Image_Processing_Parameter",
    "AC": "Level-2A_CAL_AC_Ground_Image_Processing_Parameter",
}
#: What Sen2Cor 2.12 installs, as far as it is a parameter.
DEFAULTS = {
    "Log_Level": "INFO", "Nr_Threads": "AUTO", "DEM_Directory": "NONE", "DEM_Reference": "NONE",
    "Generate_DEM_Output": "FALSE", "Generate_TCI_Output": "TRUE", "Generate_DDV_Output": "FALSE",
    "Downsample_20_to_60": "TRUE", "PSD_Version": "DEFAULT", "Handle_L1C_QLT_Mask": "TRUE",
    "Force_Exit_On_DEM_Error": "FALSE", "Product_DOI": "https://doi.org/10.5270/S2_-znk9xsj",
    "Product_Generator": "NONE", "row0": "OFF", "col0": "OFF", "nrow_win": "1200",
    "ncol_win": "1200", "Median_Filter": "0", "Aerosol_Type": "RURAL", "Mid_Latitude": "SUMMER",
    "Ozone_Content": "0", "WV_Correction": "1", "VIS_Update_Mode": "1", "WV_Watermask": "1",
    "Cirrus_Correction": "FALSE", "DEM_Terrain_Correction": "TRUE", "BRDF_Correction": "0",
    "BRDF_Lower_Bound": "0.22", "Adj_Km": "1.000", "Visibility": "40.0", "Altitude": "0.100",
    "Smooth_WV_Map": "100.0", "WV_Threshold_Cirrus": "0.25", "Database_Compression_Level": "0",
    "GIPP_Scheme": "L2A_GIPP",
}  # fmt: skip


@pytest.fixture
def gipp(tmp_path):
    """Parameters to the path of a file that holds them."""

    def write(kind="L2A", **parameters):
        root = ET.Element(ROOTS[kind])
        section = ET.SubElement(root, "Common_Section")
        for name, value in parameters.items():
            ET.SubElement(section, name).text = value
        section.append(ET.Comment("a comment"))
        path = tmp_path / f"{kind}.xml"
        ET.ElementTree(root).write(path)
        return str(path)

    return write


def asked(gipp, **parameters):
    return translate({"L2A": gipp(**parameters)})


def test_the_file_that_sen2cor_installs_is_understood_without_a_warning(gipp):
    made = asked(gipp, **DEFAULTS)
    assert [note.name for note in made.notes] == list(DEFAULTS)
    assert [str(note) for note in made.notes if note.warn] == []
    config = made.config
    assert config.aerosol.model == "continental"
    assert config.aerosol.fallback_aot550 == pytest.approx(0.198, abs=0.001)
    assert config.terrain.limit is False
    assert config.surface == ProcessorConfig().surface
    assert made.run == {"verbose": 1, "resolution_60": True}


@pytest.mark.parametrize(
    ("parameter", "value", "option", "expected"),
    [
        ("Median_Filter", "3", "classification.median", 3),
        ("Median_Filter", "4", "classification.median", 5),
        ("Aerosol_Type", "auto", "aerosol.model", "auto"),
        ("Ozone_Content", "331", "atmosphere.tco3", 331.0),
        ("VIS_Update_Mode", "0", "aerosol.method", "constant"),
        ("Cirrus_Correction", "TRUE", "surface.cirrus_correction", True),
        ("DEM_Terrain_Correction", "FALSE", "terrain.enabled", False),
        ("BRDF_Correction", "21", "terrain.limit_exponent_visible", 0.375),
        ("BRDF_Lower_Bound", "0.1", "terrain.limit_lower_bound", 0.1),
        ("Adj_Km", "0", "surface.adjacency_km", 0.0),
        ("Altitude", "1.2", "atmosphere.elevation", 1200.0),
        ("WV_Threshold_Cirrus", "0.5", "surface.cirrus_minimum_tcwv", 5.0),
    ],
)
def test_a_parameter_sets_its_option(gipp, parameter, value, option, expected):
    config = asked(gipp, **{parameter: value}).config
    group, name = option.split(".")
    assert getattr(getattr(config, group), name) == expected
    # Nothing else is set but what the table says.
    knob = KNOBS["L2A", parameter]
    changed = {
        f"{part}.{key}"
        for part, values in config.model_dump(exclude_unset=True).items()
        for key in values
    }
    assert changed <= set(knob.options)


def test_visibility_is_the_optical_thickness_of_the_published_table():
    for visibility, at_sea, at_700_m in ((5, 1.188, 1.048), (23, 0.323, 0.289), (40, 0.201, 0.181)):
        assert aot550_of_visibility(visibility) == pytest.approx(at_sea, abs=0.001)
        assert aot550_of_visibility(visibility, 0.7) == pytest.approx(at_700_m, abs=0.001)


def test_what_is_not_followed_and_what_is_not_known_is_named(gipp):
    made = asked(gipp, WV_Correction="0", Smooth_WV_Map="300", Wobble="7", Adj_Km="2")
    warned = [str(note) for note in made.notes if note.warn]
    assert warned == [
        "L2A.xml: WV_Correction 0 is left out: water vapour is always retrieved from B09 and used",
        (
            "L2A.xml: Smooth_WV_Map 300 is left out: the map is retrieved at 60 m and smoothed "
            "only where it is filled (`water_vapour.smoothing_km`)"
        ),
        "L2A.xml: Wobble 7 is left out: no such parameter is known",
    ]
    assert "L2A.xml: Adj_Km 2 -> surface.adjacency_km 2.0" in map(str, made.notes)


def test_thresholds_of_the_classification_and_of_the_correction(gipp):
    files = {
        "SC": gipp("SC", T_CLOUD_MP="0.35", T2_B12="0.5", WATER="6"),
        "AC": gipp("AC", AC_Topo_Corr_Cutoff="1.2", AC_Min_Ddv_Area="2.0", Scaling_Limiter="false"),
    }
    made = translate(files)
    assert made.config.classification.thresholds.cloud_medium == 0.35
    assert made.config.terrain.maximum_reflectance == 1.2
    assert [note.name for note in made.notes if note.warn] == ["Scaling_Limiter"]


def test_every_target_is_an_option_of_the_configuration():
    def options(model, before=""):
        for name, value in model:
            if isinstance(value, BaseModel):
                yield from options(value, f"{before}{name}.")
            elif name == "thresholds":
                yield from (f"{before}{name}.{each}" for each in value.__slots__)
            else:
                yield before + name

    known = {*options(ProcessorConfig()), *RUN_OPTIONS}
    for knob in KNOBS.values():
        assert set(knob.options) <= known, knob.name
        assert knob.words, knob.name


def test_maps_are_taken_where_they_are_and_named_where_not(gipp, tmp_path, monkeypatch):
    monkeypatch.setenv("SEN2COR_HOME", str(tmp_path))
    (tmp_path / "dem" / "glo").mkdir(parents=True)
    made = asked(gipp, DEM_Directory="dem/glo")
    assert made.config.auxiliary.dem is None
    assert str(made.notes[-1]) == (
        "maps: DEM_Directory dem/glo is left out: it is not there: flat ground"
    )
    (tmp_path / "dem" / "glo" / "tile.tif").touch()
    assert asked(gipp, DEM_Directory="dem/glo").config.auxiliary.dem == str(tmp_path / "dem/glo")
    url = "https://copernicus-dem-90m.s3.eu-central-1.amazonaws.com/"
    made = asked(gipp, DEM_Directory="none/there", DEM_Reference=url)
    assert made.config.auxiliary.dem == "copernicus-90:" + url.rstrip("/")
    with pytest.raises(UsageError, match="no elevation map, which Force_Exit_On_DEM_Error"):
        asked(gipp, DEM_Directory="dem/none", Force_Exit_On_DEM_Error="TRUE")


def test_a_window_is_whole_or_refused(gipp):
    whole = {"row0": "120", "col0": "240", "nrow_win": "60", "ncol_win": "36"}
    made = asked(gipp, **whole)
    assert made.run == {"row0": 120, "col0": 240, "rows": 60, "columns": 36}
    with pytest.raises(UsageError, match="incomplete region of interest"):
        asked(gipp, row0="120", col0="240")
    with pytest.raises(UsageError, match=r"row0 \(expected OFF, or a multiple of 6, found AUTO\)"):
        asked(gipp, row0="AUTO")
    assert asked(gipp, row0="120", col0="OFF").notes[-1].warn


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no xml", "is not XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "declares entities"),
        ("<Level-2A_CAL_SC_Ground_Image_Processing_Parameter/>", "not the parameter file that"),
        (f"<{ROOTS['L2A']}><Visibility>4</Visibility></{ROOTS['L2A']}>", "from 5 to 120, found 4"),
        (f"<{ROOTS['L2A']}><Aerosol_Type>DUST</Aerosol_Type></{ROOTS['L2A']}>", "RURAL or MARI"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, words):
    path = tmp_path / "L2A_GIPP.xml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        translate({"L2A": str(path)})
    assert "L2A_GIPP.xml" in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(UsageError, match="parameter file not found: none"):
        translate({"L2A": "none.xml"})
