"""Parameter files of Sen2Cor to options of s2cloud, with a word on every parameter."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from pydantic import ValidationError
from typing_extensions import override

from s2cloud.config import ProcessorConfig
from s2cloud.io.gipp_knobs import KNOBS, aot550_of_visibility
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

__all__ = ["Note", "Translation", "translate"]

#: Root elements of the files, by the option that names them.
_ROOTS: Final = {
    "L2A": "Level-2A_Ground_Image_Processing_Parameter",
    "SC": "Level-2A_CAL_SC_Ground_Image_Processing_Parameter",
    "AC": "Level-2A_CAL_AC_Ground_Image_Processing_Parameter",
}
#: Elements whose children are no parameters.
_LEAVES: Final = frozenset({"PSD_Scheme"})


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one parameter.

    Attributes
    ----------
    file
        Parameter file.
    name, value
        The parameter as it stands there.
    options
        Options that it set, with their values; empty if it set none.
    words
        How it is understood, or why it is left out.
    warn
        Whether something that was asked for is not done.
    """

    file: str
    name: str
    value: str
    options: Mapping[str, Any]
    words: str
    warn: bool = False

    @override
    def __str__(self) -> str:
        head = f"{self.file}: {self.name} {self.value}"
        if self.options:
            return f"{head} -> " + ", ".join(f"{k} {v}" for k, v in self.options.items())
        return f"{head} is left out: {self.words}"


@dataclass(slots=True)
class Translation:
    """What parameter files ask for, in words of s2cloud.

    Attributes
    ----------
    config
        Configuration.
    run
        Options of the run by their names in `s2cloud.io.gipp_knobs.RUN_OPTIONS`.
    notes
        One per parameter, in the order of the files.
    """

    config: ProcessorConfig
    run: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def translate(files: Mapping[str, str]) -> Translation:
    """Translate parameter files of Sen2Cor.

    Parameters
    ----------
    files
        Paths by kind: ``L2A`` (L2A_GIPP.xml), ``SC`` (L2A_CAL_SC_GIPP.xml), ``AC``
        (L2A_CAL_AC_GIPP.xml). A name alone is looked for in ``$SEN2COR_HOME/cfg``, too.

    Returns
    -------
    Translation

    Raises
    ------
    UsageError
        If a file is missing, no XML or another file, or a value is impossible.
    """
    chosen: dict[str, Any] = {}
    run: dict[str, Any] = {}
    notes: list[Note] = []
    for kind, path in files.items():
        source, root = _read(kind, path)
        for name, value in _parameters(root):
            note = _note(kind, source, name, value)
            notes.append(note)
            for option, setting in note.options.items():
                if option.startswith("run."):
                    run[option.removeprefix("run.")] = setting
                else:
                    chosen[option] = setting
    if "aerosol.fallback_aot550" in chosen:
        height = chosen.get("atmosphere.elevation", 100.0) / 1000.0
        visibility = chosen["aerosol.fallback_aot550"]
        chosen["aerosol.fallback_aot550"] = round(aot550_of_visibility(visibility, height), 4)
    notes += _find_maps(chosen, run)
    notes += _check_window(run)
    return Translation(_configuration(chosen), run, [_final(note, chosen) for note in notes])


def _read(kind: str, path: str) -> tuple[str, Element]:
    home = os.environ.get("SEN2COR_HOME", "")
    places = [Path(path), *([Path(home, "cfg", path), Path(home, path)] if home else [])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UsageError(
            "parameter file not found",
            where=path,
            expected=f"a file here{' or in $SEN2COR_HOME/cfg' if home else ''}",
            fix=f"check --GIP_L2A{'' if kind == 'L2A' else '_' + kind}",
        )
    try:
        root: Element = fromstring(found.read_bytes())
    except DefusedXmlException as error:
        raise UsageError(
            "parameter file declares entities",
            where=str(found),
            found=type(error).__name__,
            fix="remove its DOCTYPE",
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise UsageError(
            "parameter file is not XML", where=str(found), found=str(error), fix="mend the file"
        ) from error
    tag = root.tag.rpartition("}")[2]
    if tag != _ROOTS[kind]:
        raise UsageError(
            "not the parameter file that this option takes",
            where=str(found),
            expected=_ROOTS[kind],
            found=tag,
            fix="see `s2cloud l2a-process --help`",
        )
    return found.name, root


def _parameters(element: Element) -> Iterator[tuple[str, str]]:
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name in _LEAVES:
            yield name, child.get("PSD_Version", "")
        elif len(child):
            yield from _parameters(child)
        else:
            yield name, (child.text or "").strip()


def _note(kind: str, source: str, name: str, value: str) -> Note:
    knob = KNOBS.get((kind, name))
    if knob is None:
        return Note(source, name, value, {}, "no such parameter is known", warn=True)
    if not value:
        return Note(source, name, value, {}, "it is empty")
    try:
        options = knob.translate(value)
    except ValueError as error:
        raise UsageError(
            "impossible value of a parameter",
            where=f"{source}, {name}",
            expected=str(error),
            found=value,
            fix="mend the file",
        ) from error
    lost = not knob.options and knob.neutral is not None and not _among(value, knob.neutral)
    return Note(source, name, value, options, knob.words, warn=lost)


def _among(value: str, known: tuple[str, ...]) -> bool:
    try:
        return float(value) in {float(each) for each in known}
    except ValueError:
        return value.upper() in known


def _find_maps(chosen: dict[str, Any], run: dict[str, Any]) -> Iterator[Note]:
    """Take maps that are there, and name those that are not."""
    for option in [name for name in chosen if name.startswith("auxiliary.")]:
        name = chosen.pop(option)
        place = _place(name)
        if place is None:
            yield Note("maps", option, name, {}, "it is not there", warn=True)
        else:
            chosen[option] = place
    folder, reference = run.pop("dem_directory", None), run.pop("dem_reference", "")
    required = run.pop("dem_required", False)
    place = _place(folder) if folder else None
    if place is not None:
        chosen["auxiliary.dem"] = place
    elif folder and reference.startswith(("http", "s3")) and "copernicus-dem-" in reference:
        metres = "90" if "dem-90" in reference else "30"
        chosen["auxiliary.dem"] = f"copernicus-{metres}:{reference.rstrip('/')}"
    elif folder and required:
        raise UsageError(
            "no elevation map, which Force_Exit_On_DEM_Error asks for",
            where=folder,
            expected="a folder with tiles, or an address of Copernicus DEM in DEM_Reference",
            found=reference or "no DEM_Reference",
            fix="set DEM_Directory to the folder of the map",
        )
    elif folder:
        yield Note("maps", "DEM_Directory", folder, {}, "it is not there: flat ground", warn=True)


def _place(name: str) -> str | None:
    """Path of a file or of a folder with something in it."""
    home = os.environ.get("SEN2COR_HOME", "")
    places = [Path(name), *(Path(home, sub, name) for sub in ("", "dem", "aux_data") if home)]
    for place in places:
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            return str(place.resolve())
    return None


def _check_window(run: dict[str, Any]) -> Iterator[Note]:
    """Keep a window only if all of it is given."""
    parts = ("row0", "col0", "rows", "columns")
    given = [name for name in parts if name in run]
    if "row0" in run and "col0" in run and len(given) < len(parts):
        raise UsageError(
            "incomplete region of interest",
            where="Region_Of_Interest",
            expected="row0, col0, nrow_win, ncol_win",
            found=", ".join(given),
            fix="give all four, or OFF",
        )
    if ("row0" in run) != ("col0" in run):
        words = "row0 and col0 are given together or not at all"
        yield Note("maps", "Region_Of_Interest", "", {}, words, warn=True)
    if len(given) < len(parts):
        for name in given:
            run.pop(name)


def _configuration(chosen: Mapping[str, Any]) -> ProcessorConfig:
    values: dict[str, Any] = {}
    for option, value in chosen.items():
        place = values
        *groups, last = option.split(".")
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    try:
        return ProcessorConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise UsageError(
            "parameters make no possible configuration", found=problems, fix="mend the file"
        ) from error


def _final(note: Note, chosen: Mapping[str, Any]) -> Note:
    """Show values as they were used in the end."""
    options = {name: chosen.get(name, value) for name, value in note.options.items()}
    return Note(note.file, note.name, note.value, options, note.words, note.warn)
