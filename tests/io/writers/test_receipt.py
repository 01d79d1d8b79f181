"""The receipt and the commit protocol."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import dask
import dask.array as da
import fsspec
import numpy as np
import pytest
import xarray as xr

from s2cloud.io import commit as commit_module
from s2cloud.io.cog_writer import to_cog
from s2cloud.io.draft import draft
from s2cloud.io.product import write_product
from s2cloud.io.receipt import Layout, Receipt, existing_receipt
from s2cloud.io.stores import Store, open_store
from s2cloud.io.zarr_writer import to_zarr
from s2cloud.model.errors import CapacityError, InputError, UnavailableError, UsageError


def files_under(url, options=None):
    return sorted(open_store(url, options).find())


def test_json_round_trip(make_chip, tmp_path):
    receipt = to_cog(make_chip(), tmp_path)
    assert Receipt.from_json(receipt.to_json()) == receipt
    assert existing_receipt(str(tmp_path)) == receipt
    assert receipt.asset("b02_60m").resolution == 60
    assert receipt.size == sum(asset.size for asset in receipt.assets)
    with pytest.raises(InputError, match="no such asset"):
        receipt.asset("b10_60m")


def test_damaged_receipt_is_named(tmp_path):
    (tmp_path / "receipt.json").write_text('{"product": 1}')
    with pytest.raises(InputError, match="not a receipt"):
        existing_receipt(str(tmp_path))


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("s3://b/out", ("s3://b/out", "receipt.json", "P.json", "P.zarr")),
        ("s3://b/x/own.zarr/", ("s3://b/x", "own.receipt.json", "own.json", "own.zarr")),
        ("own.zarr", (".", "own.receipt.json", "own.json", "own.zarr")),
        ("/data/own.zarr", ("/data", "own.receipt.json", "own.json", "own.zarr")),
    ],
)
def test_layout(destination, expected):
    layout = Layout.of(destination, "P")
    assert (layout.root, layout.receipt, layout.item, layout.zarr) == expected


def test_both_formats_one_item_one_receipt(make_l2a, tmp_path, granule):
    receipt = write_product(make_l2a(), tmp_path)
    assert receipt.formats == ("cog", "zarr")
    assert receipt.product == granule.l2a_name
    assert receipt.config_digest == "c0ffee"
    names = {path.name for path in tmp_path.iterdir()}
    assert {"receipt.json", f"{granule.l2a_name}.json", f"{granule.l2a_name}.zarr"} <= names
    assert names - {"receipt.json"} == {asset.href for asset in receipt.assets}
    assert receipt.statistics["numbers"] == {"quality/retrieval/aot_mean": 0.25}


def test_both_formats_compute_each_block_once(make_l2a, tmp_path):
    calls: list[str] = []
    lock = threading.Lock()

    def counted(name, array):
        def count(block):
            if block.size:
                with lock:
                    calls.append(name)
            return block

        return array.map_blocks(count, dtype=array.dtype, meta=np.empty((0, 0), array.dtype))

    write_product(make_l2a(wrap=counted), tmp_path)
    # Four blocks of each variable, at each resolution that has it and is written.
    assert calls.count("b08") == calls.count("cld") == 4
    assert calls.count("scl") == calls.count("b05") == 8
    assert calls.count("b02") == calls.count("aot") == 12


def test_what_variables_share_is_computed_once(make_l2a, tmp_path):
    # As in the processor: a scene stage behind everything, and one decoder for several bands.
    calls: list[str] = []

    def once(name):
        calls.append(name)
        return np.float32(0.0)

    scene = dask.delayed(once, pure=False)("scene")
    zero = da.from_delayed(dask.delayed(once, pure=False)("decoder"), (), np.float32)

    def share(name, array):
        if name not in {"b01", "b09"}:
            return array
        return array + zero + da.from_delayed(scene, (), np.float32)

    tree = make_l2a(resolutions=(60,), wrap=share)
    number = dask.delayed(lambda value: value + 1)(scene)
    tree["quality/retrieval"] = xr.DataTree(
        xr.Dataset(
            {n: ((), da.from_delayed(number, (), np.float32)) for n in ("aot_mean", "tcwv_mean")}
        )
    )
    write_product(tree, tmp_path)
    assert sorted(calls) == ["decoder", "scene"]


def test_second_run_is_recognised_without_work(make_chip, tmp_path):
    first = write_product(make_chip(), tmp_path)

    def bomb(name, array):
        return array.map_blocks(lambda _: 1 / 0, dtype=array.dtype, meta=np.empty((0, 0), "f4"))

    assert write_product(make_chip(wrap=bomb), tmp_path) == first


def test_other_configuration_needs_overwrite(make_chip, tmp_path):
    to_cog(make_chip(), tmp_path)
    other = make_chip(provenance={"configuration": {"a": 2}})
    with pytest.raises(UsageError, match="overwrite=True"):
        to_cog(other, tmp_path)
    receipt = to_cog(other, tmp_path, overwrite=True)
    assert existing_receipt(str(tmp_path)) == receipt
    assert receipt.provenance == {"configuration": {"a": 2}}


def test_volatile_provenance_does_not_make_another_product(make_chip, tmp_path):
    first = to_cog(make_chip(provenance={"created": "now", "configuration": 1}), tmp_path)
    assert to_cog(make_chip(provenance={"created": "then", "configuration": 1}), tmp_path) == first


def test_pixels_without_a_product_are_told_apart_by_themselves(make_chip, tmp_path, granule):
    chip = replace(granule, name="chip", uri="")
    to_cog(make_chip(granule=chip), tmp_path)
    to_cog(make_chip(granule=chip), tmp_path)
    with pytest.raises(UsageError):
        to_cog(make_chip(granule=chip, wrap=lambda _, array: array + 0.01), tmp_path)


def test_overwriting_with_fewer_formats_leaves_nothing_of_the_old(make_chip, tmp_path):
    write_product(make_chip(), tmp_path)
    receipt = to_cog(make_chip(), tmp_path, overwrite=True)
    assert files_under(str(tmp_path)) == sorted(
        ["receipt.json", *(asset.href for asset in receipt.assets)]
    )


def test_second_format_joins_the_first(make_chip, tmp_path):
    cog = to_cog(make_chip(), tmp_path)
    both = to_zarr(make_chip(), tmp_path)
    assert both.formats == ("cog", "zarr")
    assert both.assets[: len(cog.assets)] == cog.assets
    assert both.statistics == cog.statistics | {"numbers": both.statistics["numbers"]}
    with_item = write_product(make_chip(), tmp_path)
    assert with_item.asset("item").size > 0
    assert with_item.assets[: len(both.assets)] == both.assets
    assert to_cog(make_chip(), tmp_path) == with_item


def failing(kind=RuntimeError):
    def wrap(name, array):
        if name != "b11":
            return array

        def explode(block, block_id=None):
            if block_id == (1, 1):
                time.sleep(0.3)  # let the others write
                raise kind("boom")
            return block

        return array.map_blocks(explode, dtype=array.dtype, meta=np.empty((0, 0), "f4"))

    return wrap


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_failure_leaves_nothing(make_chip, tmp_path, scheduler):
    with dask.config.set(scheduler=scheduler), pytest.raises(RuntimeError, match="boom"):
        write_product(make_chip(wrap=failing()), tmp_path)
    time.sleep(0.3)  # tasks in flight at the time of the failure must not write any more
    assert files_under(str(tmp_path)) == []
    assert existing_receipt(str(tmp_path)) is None
    assert write_product(make_chip(), tmp_path).formats == ("cog", "zarr")


def counting(calls):
    """Count the blocks that are computed."""

    def wrap(name, array):
        def count(block):
            if block.size:
                calls.append(name)
            return block

        return array.map_blocks(count, dtype=array.dtype, meta=np.empty((0, 0), array.dtype))

    return wrap


@pytest.mark.parametrize("formats", [("zarr",), ("cog", "zarr")])
def test_an_interrupted_run_is_resumed(make_chip, memory_url, tmp_path, formats):
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        write_product(make_chip(wrap=failing(KeyboardInterrupt)), memory_url, formats=formats)
    assert existing_receipt(memory_url) is None
    left = files_under(memory_url)
    assert [path for path in left if path.startswith("progress/lease")] == []
    assert [path for path in left if path.startswith("progress/done")] != []
    calls: list[str] = []
    receipt = write_product(make_chip(wrap=counting(calls)), memory_url, formats=formats)
    every: list[str] = []
    whole = write_product(make_chip(wrap=counting(every)), tmp_path, formats=formats)
    assert 0 < len(calls) < len(every)
    assert receipt.assets[:-1] == whole.assets[:-1]
    assert receipt.statistics == whole.statistics
    assert [path for path in files_under(memory_url) if path.startswith("progress")] == []


def test_parts_that_are_not_what_the_journal_says_are_made_again(make_chip, tmp_path):
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        to_zarr(make_chip(wrap=failing(KeyboardInterrupt)), tmp_path / "a.zarr")
    chunks = [path for path in (tmp_path / "a.zarr").rglob("c/*/*") if path.is_file()]
    assert len(chunks) > 5
    chunks[0].unlink()
    chunks[1].write_bytes(chunks[1].read_bytes()[:-1])
    damaged = bytearray(chunks[2].read_bytes())
    damaged[-1] ^= 1
    chunks[2].write_bytes(damaged)
    journal = next((tmp_path / "a.progress").glob("done-*.json"))
    (tmp_path / "a.progress" / "done-x.json").write_text(journal.read_text()[:-9])
    receipt = to_zarr(make_chip(), tmp_path / "a.zarr")
    assert receipt.assets[0].sha256 == to_zarr(make_chip(), tmp_path / "b.zarr").assets[0].sha256
    assert not (tmp_path / "a.progress").exists()


def test_what_killed_runs_were_writing_is_removed_and_no_one_elses(make_chip, tmp_path):
    product, store = tmp_path / "product", tmp_path / "stores" / "a.zarr"
    left = [
        product / ".b04.tif.0a1b2c3d",
        product / "inside.zarr" / "c" / ".0.1a2b3c4d",
        store / "c" / ".0.1a2b3c4d",
    ]
    other = store.parent / ".other.json.0a1b2c3d"
    for path in (*left, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    write_product(make_chip(), product, formats=("cog",))
    to_zarr(make_chip(), store)
    assert [path for path in left if path.exists()] == []
    assert other.exists()


def test_what_another_configuration_left_is_not_used(make_chip, tmp_path):
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        to_zarr(make_chip(wrap=failing(KeyboardInterrupt)), tmp_path / "a.zarr")
    calls: list[str] = []
    other = {"provenance": {"configuration": {"a": 2}}}
    receipt = to_zarr(make_chip(wrap=counting(calls), **other), tmp_path / "a.zarr")
    every: list[str] = []
    whole = to_zarr(make_chip(wrap=counting(every), **other), tmp_path / "b.zarr")
    assert len(calls) == len(every)
    assert receipt.assets[0].sha256 == whole.assets[0].sha256


def test_failure_while_replacing_does_not_leave_the_old_receipt(make_chip, tmp_path):
    write_product(make_chip(), tmp_path)
    with pytest.raises(RuntimeError, match="boom"):
        write_product(make_chip(wrap=failing()), tmp_path, overwrite=True)
    assert files_under(str(tmp_path)) == []


def test_failure_while_joining_keeps_what_was_committed(make_chip, tmp_path):
    first = to_cog(make_chip(), tmp_path)
    with pytest.raises(RuntimeError, match="boom"):
        to_zarr(make_chip(wrap=failing()), tmp_path)
    assert existing_receipt(str(tmp_path)) == first
    assert files_under(str(tmp_path)) == sorted(
        ["receipt.json", *(asset.href for asset in first.assets)]
    )


def test_store_that_fails_in_mid_write(make_chip, memory_url, monkeypatch):
    write, done = Store.write, []

    def flaky(self, path, data):
        done.append(path)
        if len(done) == 25:
            raise UnavailableError("store does not answer", where=path)
        write(self, path, data)

    monkeypatch.setattr(Store, "write", flaky)
    with pytest.raises(UnavailableError):
        to_zarr(make_chip(), memory_url)
    assert existing_receipt(memory_url) is None
    assert to_zarr(make_chip(), memory_url).formats == ("zarr",)


def test_receipt_is_deleted_first_and_written_last(make_chip, tmp_path, monkeypatch):
    log: list[tuple[str, str]] = []
    for method in ("write", "write_if_absent", "put_file", "delete"):
        original = getattr(Store, method)

        def spy(self, *args, _method=method, _original=original):
            log.append((_method, str(args[1] if _method == "put_file" else args[0])))
            return _original(self, *args)

        monkeypatch.setattr(Store, method, spy)
    write_product(make_chip(), tmp_path)
    claim, *_, committed, tidied = log
    assert claim == ("write_if_absent", "progress/lease-000001.json")
    assert committed == ("write_if_absent", "receipt.json")
    assert tidied == ("delete", "progress")
    log.clear()
    write_product(make_chip(), tmp_path, overwrite=True)
    assert log[:2] == [claim, ("delete", "receipt.json")]
    assert log[-2:] == [committed, tidied]


def test_another_run_that_commits_first_wins(make_chip, memory_url, monkeypatch):
    tree = make_chip()
    verify = commit_module._verify

    def late(receipt, store):
        verify(receipt, store)
        if not store.exists("receipt.json"):
            other = replace(receipt, created="2000-01-01T00:00:00Z")
            store.write("receipt.json", other.to_json().encode())

    monkeypatch.setattr(commit_module, "_verify", late)
    assert to_cog(tree, memory_url).created == "2000-01-01T00:00:00Z"


def test_another_product_that_commits_first_is_not_harmed(make_chip, memory_url, monkeypatch):
    def late(receipt, store):
        other = replace(receipt, digest="other")
        store.write("receipt.json", other.to_json().encode())

    monkeypatch.setattr(commit_module, "_verify", late)
    with pytest.raises(UsageError, match="another product"):
        to_cog(make_chip(), memory_url)
    committed = existing_receipt(memory_url)
    assert committed is not None
    assert committed.digest == "other"
    assert len(files_under(memory_url)) > 1


def test_file_that_vanishes_is_noticed_before_the_commit(make_chip, memory_url, monkeypatch):
    finish = draft

    def sabotage(run, results):
        run.store.delete(results[0].written[0].path)
        return finish(run, results)

    monkeypatch.setattr(commit_module, "draft", sabotage)
    with pytest.raises((UnavailableError, InputError)):
        to_cog(make_chip(), memory_url)
    assert existing_receipt(memory_url) is None


def test_leftovers_of_a_killed_run_are_replaced(make_chip, tmp_path, granule):
    zarr = tmp_path / f"{granule.l2a_name}.zarr" / "measurements" / "old" / "c"
    zarr.mkdir(parents=True)
    (zarr / "0").write_bytes(b"old")
    (tmp_path / "T32TQM_20250601T101601_B02_60m.tif").write_bytes(b"half")
    receipt = write_product(make_chip(), tmp_path)
    assert not (zarr / "0").exists()
    assert (tmp_path / "T32TQM_20250601T101601_B02_60m.tif").stat().st_size == receipt.asset(
        "b02_60m"
    ).size


def test_zarr_store_of_another_program_is_not_touched(make_chip, tmp_path):
    store = tmp_path / "mine.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    with pytest.raises(UsageError, match="another program"):
        to_zarr(make_chip(), store)
    assert (store / "zarr.json").read_text() == "{}"


def test_memory_and_local_make_equal_bytes(make_chip, tmp_path, memory_url):
    local = write_product(make_chip(), tmp_path, stac=False)
    memory = write_product(make_chip(), memory_url, stac=False)
    assert local.assets == memory.assets
    for asset in memory.assets:
        if asset.href.endswith(".tif"):
            assert fsspec.open(f"{memory_url}/{asset.href}").open().read(4) == b"II*\x00"


def test_object_store(make_chip, s3_server, tmp_path):
    url = "s3://bucket/products/one"
    receipt = write_product(make_chip(), url, storage_options=s3_server)
    assert receipt.destination == url
    assert "secret" not in receipt.to_json()
    assert existing_receipt(url, s3_server) == receipt
    assert write_product(make_chip(), url, storage_options=s3_server) == receipt
    local = write_product(make_chip(), tmp_path)
    keys = [asset.key for asset in local.assets if asset.key != "item"]
    assert [receipt.asset(k).sha256 for k in keys] == [local.asset(k).sha256 for k in keys]
    with pytest.raises(RuntimeError, match="boom"):
        write_product(make_chip(wrap=failing()), url, storage_options=s3_server, overwrite=True)
    assert files_under(url, s3_server) == []


def test_missing_bucket_is_the_users_fault(make_chip, s3_server):
    with pytest.raises((UsageError, UnavailableError, InputError)):
        to_cog(make_chip(), "s3://no-such-bucket/x", storage_options=s3_server)


def test_out_of_memory_is_a_matter_of_capacity(make_chip, tmp_path):
    with pytest.raises(CapacityError, match="memory"):
        to_cog(make_chip(wrap=failing(MemoryError)), tmp_path)
    assert files_under(str(tmp_path)) == []


@pytest.mark.parametrize("formats", [(), ("netcdf",)])
def test_unknown_format(make_chip, tmp_path, formats):
    with pytest.raises(UsageError, match="unknown output format"):
        write_product(make_chip(), tmp_path, formats=formats)


def test_item_is_valid_json_without_machine_paths(make_chip, tmp_path, granule):
    write_product(make_chip(), tmp_path)
    text = (tmp_path / f"{granule.l2a_name}.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["assets"]["b02_60m"]["href"].startswith("./T32TQM")


@pytest.mark.cluster
def test_on_a_cluster_of_processes(make_chip, tmp_path):
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        receipt = write_product(make_chip(), tmp_path / "far")
        with pytest.raises(RuntimeError, match="boom"):
            write_product(make_chip(wrap=failing()), tmp_path / "bad")
    near = write_product(make_chip(), tmp_path / "near")
    assert [a for a in receipt.assets if a.key != "item"] == [
        a for a in near.assets if a.key != "item"
    ]
    assert not (tmp_path / "bad" / "receipt.json").exists()
