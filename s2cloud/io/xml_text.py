"""A few words to write XML with."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["add", "iso", "root", "text"]


def root(tag: str, uri: str) -> ET.Element:
    """Root element in the namespace ``n1``, as in all metadata files of a product."""
    element = ET.Element(f"n1:{tag}")
    element.set("xmlns:n1", uri)
    return element


def add(parent: ET.Element, tag: str, value: object = None, **attributes: object) -> ET.Element:
    """Append an element with a text and attributes; a path of tags makes the elements between."""
    *outer, last = tag.split("/")
    for name in outer:
        found = next((child for child in parent if child.tag == name), None)
        parent = ET.SubElement(parent, name) if found is None else found
    element = ET.SubElement(parent, last, {k: str(v) for k, v in attributes.items()})
    if value is not None:
        element.text = str(value)
    return element


def text(element: ET.Element) -> bytes:
    """Content of a file."""
    ET.indent(element)
    return bytes(ET.tostring(element, encoding="UTF-8", xml_declaration=True))


def iso(time: datetime, digits: int = 3) -> str:
    """Time in the style of the metadata, ``2025-06-15T10:15:59.024Z``."""
    micro = f"{time.microsecond:06d}"[:digits]
    return f"{time:%Y-%m-%dT%H:%M:%S}.{micro}Z"
