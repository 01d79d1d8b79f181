"""Sections of a page that commands write: each between two marks, so that none touches another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replace_section"]


def replace_section(page: Path, name: str, text: str) -> None:
    """Put text between the marks of a section, at the end of the page if it has none yet.

    Parameters
    ----------
    page
        Markdown file; made if it does not exist.
    name
        Name of the section.
    text
        Its new content.
    """
    begin, end = f"<!-- section: {name} -->", f"<!-- end: {name} -->"
    body = f"{begin}\n{text.strip()}\n{end}"
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: body, old)
    else:
        new = old.rstrip() + ("\n\n" if old.strip() else "") + body + "\n"
    page.write_text(new, encoding="utf-8")
