"""A few words to read XML with; errors name the file and what is wrong in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

__all__ = ["elements", "missing", "number_of", "parsed", "text_of", "unreadable"]


def parsed(data: bytes, name: str) -> Element:
    """Root of a document; a damaged one is the input's fault."""
    try:
        return fromstring(data)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InputError(
            "damaged metadata",
            where=name,
            found=str(error),
            fix="download the file again",
        ) from error


def elements(root: Element, tag: str) -> Iterator[Element]:
    """Elements of a local name: name spaces differ between versions of the format."""
    return (e for e in root.iter() if e.tag == tag or str(e.tag).endswith(f"}}{tag}"))


def text_of(root: Element, tag: str, name: str) -> str:
    """Text of the first element of a name that has one."""
    for element in elements(root, tag):
        if element.text and element.text.strip():
            return element.text.strip()
    raise missing(tag, name)


def number_of(root: Element, tag: str, name: str) -> float:
    """Finite number in the first element of a name."""
    text = text_of(root, tag, name)
    try:
        value = float(text)
    except ValueError:
        raise unreadable(tag, text, name) from None
    if not math.isfinite(value):
        raise unreadable(tag, text, name)
    return value


def missing(what: str, name: str) -> InputError:
    """Error about something that is not in a document."""
    return InputError(
        "metadata incomplete",
        where=name,
        expected=what,
        found="nothing",
        fix="download the product again",
    )


def unreadable(what: str, text: str, name: str) -> InputError:
    """Error about a text that does not say what it should."""
    return InputError(
        "metadata unreadable",
        where=f"{name} {what}",
        found=repr(text[:80]),
        fix="download the product again",
    )
