"""Every public name is described: what it takes and gives, and quantities with their units."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import griffe
import pytest
from griffe import DocstringSectionKind as Kind

ROOT = Path(__file__).parents[2]
#: A description that leads to another one.
ELSEWHERE = re.compile(r"^(See|As in) `|, likewise|, see `")
#: Units of quantities by the names that they have everywhere.
UNITS = {
    **dict.fromkeys(("sza", "saa", "vza", "vaa", "raa"), r"\[degrees?\]"),
    **dict.fromkeys(("pressure", "sea_level_pressure"), r"\[hPa\]"),
    **dict.fromkeys(("elevation", "margin_m", "resolution_m"), r"\[m\]"),
    # Pure numbers are told by what they are.
    **dict.fromkeys(("toa", "boa"), r"reflectance|\[1\]"),
    **dict.fromkeys(("aot550", "aot"), r"thickness|\[1\]"),
    **dict.fromkeys(("tcwv", "wvp"), r"\[kg m-2\]"),
    "tco3": r"\[DU\]",
    "wavelength_nm": r"\[nm\]",
}


@cache
def package():
    return griffe.load("s2cloud", search_paths=[str(ROOT)], docstring_parser="numpy")


def modules(parent):
    """All modules but those with an underscore."""
    for module in parent.modules.values():
        if not module.name.startswith("_"):
            yield module
            yield from modules(module)


def public_objects():
    """Functions and classes that their module exports."""
    for module in modules(package()):
        for name in module.exports or ():
            found = module.members.get(str(name))
            if found is not None and not found.is_alias and (found.is_function or found.is_class):
                yield found


def front_door():
    """What is imported from `s2cloud`, and what else the page of the reference shows."""
    names = set(
        re.findall(r"^::: (\S+)", (ROOT / "docs/reference/api.md").read_text(), re.MULTILINE)
    )
    for alias in package().exports:
        if str(alias) != "__version__":
            names |= {each.path for each in behind(package().members[str(alias)])}
    return sorted(names)


def behind(found):
    """Functions and classes behind a name; a module stands for all that it exports."""
    found = found.final_target if found.is_alias else found
    if not found.is_module:
        return [found]
    if found.name in found.members:
        return behind(found.members[found.name])
    return [each for name in found.exports for each in behind(found.members[str(name)])]


def described(found):
    """Sections of a docstring by their kind."""
    return {section.kind: section for section in found.docstring.parsed} if found.docstring else {}


def problems(found):
    """What the docstring of a function or class does not say."""
    sections = described(found)
    if not sections:
        return ["no docstring"]
    names = {
        item.name.lstrip("*")
        for kind in (Kind.parameters, Kind.other_parameters, Kind.attributes)
        if kind in sections
        for item in sections[kind].value
    }
    named = {part.strip() for name in names for part in name.split(",")}
    taken = {
        parameter.name.lstrip("*")
        for parameter in found.parameters
        if parameter.name not in {"self", "cls"} and not parameter.name.startswith("_")
    }
    missing = [f"parameter {name} is not described" for name in sorted(taken - named)]
    if found.is_function:
        returns = str(found.returns or "None")
        answers = {Kind.returns, Kind.yields, Kind.receives}
        if returns not in {"None", "NoReturn"} and not answers & set(sections):
            missing.append(f"what is returned ({returns}) is not described")
    return missing


def test_every_module_and_public_name_has_a_docstring():
    bare = [module.path for module in modules(package()) if not module.docstring]
    bare += [found.path for found in public_objects() if not found.docstring]
    assert bare == []


@pytest.mark.parametrize("path", front_door())
def test_the_front_door_says_what_it_takes_and_gives(path):
    (found,) = behind(package()[path.removeprefix("s2cloud.")])
    told = problems(found)
    if found.is_class:
        methods = [each for each in found.functions.values() if not each.name.startswith("_")]
        told += [f"{each.name} has no docstring" for each in methods if not each.docstring]
    assert told == []


def test_quantities_have_their_units():
    silent = []
    for found in public_objects():
        sections = described(found)
        for kind in (Kind.parameters, Kind.attributes):
            for item in sections[kind].value if kind in sections else ():
                for name in item.name.split(","):
                    unit = UNITS.get(name.strip())
                    told = item.description
                    if unit and not re.search(unit, told) and not ELSEWHERE.search(told):
                        silent.append(f"{found.path}: {name.strip()}: {item.description[:60]!r}")
    assert silent == []


def test_the_page_of_the_reference_shows_all_of_the_front_door():
    names = re.findall(r"^::: (\S+)", (ROOT / "docs/reference/api.md").read_text(), re.MULTILINE)
    shown = {each.path for name in names for each in behind(package()[name.partition(".")[2]])}
    exported = [str(name) for name in package().exports if str(name) != "__version__"]
    promised = {each.path for name in exported for each in behind(package().members[name])}
    assert promised - shown == set()
