"""The page about a product: complete, self-contained, the same from every format."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typing_extensions import override

from s2cloud.io.product import write_product
from s2cloud.io.report import report_html, write_report
from s2cloud.io.report_charts import field_map, histogram
from s2cloud.io.zarr_writer import to_zarr
from s2cloud.model.errors import InputError
from s2cloud.model.palette import limits_of

VOID = {"meta", "link", "img", "br", "hr", "input", "line", "polygon"}


class Page(HTMLParser):
    """Text, images and links of a page; fails on unbalanced elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    @override
    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        if tag == "img":
            self.images.append(fields["src"])
        self.links += [fields[name] for name in ("href", "src") if name in fields]
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    @override
    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("format_", ["cog", "zarr", "safe"])
def test_page_of_each_format(make_l2a, tmp_path, format_, granule):
    write_product(make_l2a(), tmp_path, formats=(format_,))
    address = write_report(tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert address == str(tmp_path / "report.html")
    assert granule.l2a_name in page.text
    assert len(page.images) == 5  # colours, classes, aerosol, vapour, clouds
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "B8A" in page.text
    assert "c0ffee" in page.text
    assert re.search(r"9\s*cloud high probability\s*\d+\.\d\d %", page.text)


def test_shares_of_flags_are_told(make_l2a, tmp_path):
    receipt = write_product(make_l2a(flags=True), tmp_path, formats=("safe",))
    page = Page(report_html(tmp_path))
    share = receipt.statistics["flag_percentages"]["detector_edge"]
    assert re.search(rf"detector edge\s*{share:.2f} %", page.text)


def test_report_of_a_store_alone_lies_beside_it(make_chip, tmp_path):
    to_zarr(make_chip(), tmp_path / "a.zarr")
    write_report(tmp_path / "a.zarr")
    assert (tmp_path / "a.report.html").exists()
    write_report(tmp_path / "a.zarr", tmp_path / "elsewhere.html")
    assert (tmp_path / "elsewhere.html").read_text() == (tmp_path / "a.report.html").read_text()


def test_text_from_the_product_is_no_markup(make_chip, tmp_path):
    provenance = {"warnings": ["<script>alert(1)</script>"], "configuration": {"a": "</pre>"}}
    write_product(make_chip(provenance=provenance), tmp_path, formats=("cog",))
    page = report_html(tmp_path)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no complete product"):
        write_report(tmp_path)


def test_pictures_of_fields():
    values = np.array([[0.0, 0.5], [1.0, np.nan]])
    image = field_map(values, (0.0, 1.0), "aot")
    assert image[0, 0].tolist() == [0xFF, 0xF7, 0xD6, 255]
    assert image[1, 0].tolist() == [0x3D, 0x00, 0x18, 255]
    assert image[1, 1, 3] == 0
    assert limits_of(np.array([0.1, 0.1]), 0.05)[0] <= 0.1 <= limits_of(np.array([0.1]), 0.05)[1]
    assert limits_of(np.array([np.nan]), 2.0) == (0.0, 2.0)
    assert "polygon" in histogram(np.array([np.nan]), (0.0, 1.0))
