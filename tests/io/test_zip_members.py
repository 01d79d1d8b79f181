"""Archives that would not fit into memory."""

import zipfile

import fsspec
import pytest

from s2cloud.io.zip_members import BOMB_BYTES, ZipMembers
from s2cloud.model.errors import InputError


def test_a_member_that_unpacks_to_far_more_than_it_is_long_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/zeros.jp2", "w", force_zip64=True) as member,
    ):
        for _ in range(BOMB_BYTES // 2**20 + 1):
            member.write(bytes(2**20))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/small.xml", "<a/>" * 1000)
    files = ZipMembers(fsspec.filesystem("file"), str(path), "bomb.zip")
    assert files.cat_file("a/small.xml")[:4] == b"<a/>"
    with pytest.raises(InputError, match=r"zeros\.jp2.*at most 100 times"):
        files.cat_file("a/zeros.jp2", 0, 100)
