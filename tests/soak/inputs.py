"""Open and read damaged products, each in a process of its own with limits, and judge the end.

A case ends well with an error of s2cloud's own that blames the input, or with a product whose
arrays can all be read and have the shapes of the sound one; where no pixel was damaged, its
pixels too. Anything else is a fault: another exception, a dead process, more time or memory than
allowed, a file opened outside of the product.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import random
import resource
import shutil
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

import s2cloud as s2
from s2cloud.model.errors import CapacityError, S2CloudError
from tests.soak import mutations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.soak.mutations import Case, Corpus

FORK = multiprocessing.get_context("fork")
#: Of one case. [s], [MB] A sound product of this size takes half a second and 30 MB. On a machine
#: whose cores are shared the time is as much longer.
SECONDS, MEGABYTES = 30.0, 768
#: Files that hold pixels without a checksum: damage there may end as other pixels.
_PIXELS = (".jp2",)


@dataclass
class Judged:
    """Results of many cases."""

    cases: int = 0
    errors: int = 0
    products: int = 0
    families: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest_mb: float = 0.0
    faults: list[str] = field(default_factory=list)


def digest_of(source: str, *, whole_product: bool) -> dict[str, str]:
    """Everything a product holds, read: shape, type and checksum of each variable."""
    tree = s2.open_l1c(source)
    trees = [("", tree)]
    if whole_product:
        trees.append(("l2a/", s2.process(tree)))
    arrays = {
        f"{prefix}{node.path}/{name}": variable.data
        for prefix, each in trees
        for node in each.subtree
        for name, variable in node.data_vars.items()
    }
    (values,) = dask.compute(arrays)
    return {name: _digest(np.asarray(value)) for name, value in values.items()}


def _digest(values: Any) -> str:
    data = np.ascontiguousarray(values).tobytes() if values.dtype != object else b""
    return f"{values.shape} {values.dtype} {hashlib.sha256(data).hexdigest()}"


def soak(folder: Path, *, cases: int, seed: int, products_every: int = 50) -> Judged:
    """Judge as many cases.

    Parameters
    ----------
    folder
        Empty folder.
    cases, seed
        Number of cases and start of the random numbers; case ``n`` of a seed is always the same.
    products_every
        Every so many cases the L2A product is made as well, not only the input read.
    """
    corpus = mutations.make_corpus(folder / "corpus")
    (folder / "corpus" / mutations.SECRET).write_text("nobody reads this")
    sources = [corpus.safe, *corpus.archives, *corpus.zarr.values()]
    with dask.config.set(scheduler="synchronous"):
        sound = {str(s): digest_of(str(s), whole_product=True) for s in sources}
    sound[str(corpus.item)] = sound[str(corpus.safe)]
    judged = Judged()
    for number in range(cases):
        dice = random.Random(f"{seed} {number}")  # noqa: S311
        case, mutation = mutations.case_of(corpus, dice, number)
        with _damaged(folder / "case", corpus, case, mutation, dice) as source:
            _judge(judged, case, source, sound, whole=number % products_every == 0)
    return judged


@contextlib.contextmanager
def _damaged(
    folder: Path, corpus: Corpus, case: Case, mutation: Any, dice: random.Random
) -> Iterator[str]:
    """Copy of a product with one file damaged; the other files are links to the sound ones."""
    folder.mkdir()
    (folder / mutations.SECRET).write_text("nobody reads this")
    place = folder / "in" / case.product.name
    place.parent.mkdir()
    try:
        if case.product.is_dir():
            shutil.copytree(case.product, place, copy_function=os.link)
            target = place / case.file
        else:
            target = place
            if case.family == "stac":
                shutil.copytree(corpus.safe, place.parent / "l1c" / corpus.safe.name,
                                copy_function=os.link)  # fmt: skip
        sound = (case.product / case.file if case.file else case.product).read_bytes()
        broken = mutation(dice, sound).replace(b"{above}", str(folder).encode())
        target.unlink(missing_ok=True)
        target.write_bytes(broken)
        yield str(place)
    finally:
        shutil.rmtree(folder)


def _judge(
    judged: Judged, case: Case, source: str, sound: dict[str, dict[str, str]], *, whole: bool
) -> None:
    here, there = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_child, args=(source, whole, there))
    began = time.monotonic()
    process.start()
    there.close()
    end: dict[str, Any] = {}
    with contextlib.suppress(EOFError):
        if here.poll(SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))):
            end = here.recv()
    process.join(1.0 if end else 0.1)
    seconds = time.monotonic() - began
    if not end:
        hung = process.is_alive()
        process.kill()
        process.join()
        end = {"fault": "hang" if hung else f"crash, exit code {process.exitcode}"}
    elif process.is_alive():
        process.kill()
        process.join()
    here.close()
    judged.cases += 1
    judged.families[case.family] += 1
    judged.slowest = max(judged.slowest, seconds)
    judged.largest_mb = max(judged.largest_mb, end.get("mb", 0.0))
    where = f"case {case.number}: {case.family} {case.mutation} {case.file or case.product.name}"
    if end.get("outside"):
        judged.faults.append(f"{where}: opened {end['outside'][:2]}")
    if "fault" in end:
        judged.faults.append(f"{where}: {end['fault']}")
    elif "error" in end:
        judged.errors += 1
        judged.kinds[end["error"]] += 1
    else:
        judged.products += 1
        other = _differences(case, end["digest"], sound[str(case.product)])
        if other:
            judged.faults.append(f"{where}: a product with other {other[:3]}")


def _differences(case: Case, found: dict[str, str], sound: dict[str, str]) -> list[str]:
    """Variables that are wrong although nothing was said.

    A number in metadata that is still a number cannot be told from the true one, nor can pixels
    without a checksum: where those were damaged, shapes and types alone are compared.
    """
    if case.family == "zarr":
        return []
    bands = [k for k in sound if k.startswith("/measurements/reflectance/") and k in found]
    if case.family == "zip" or case.file.endswith(_PIXELS):
        return [k for k in bands if _shape(found[k]) != _shape(sound[k])]
    return [k for k in bands if found[k] != sound[k]]


def _shape(digest: str) -> str:
    return digest.rpartition(" ")[0]


def _child(source: str, whole: bool, answer: Any) -> None:  # noqa: FBT001
    outside: list[str] = []
    inside = (str(Path(source).parent), str(Path(source)))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        writing = bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        secret = mutations.SECRET in path or path.startswith("/proc/self/environ")
        if secret or (writing and not path.startswith(("/dev/", "/proc/", *inside))):
            outside.append(path)

    before = _megabytes("VmRSS")
    limit = int((_megabytes("VmSize") + 2 * MEGABYTES) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["S2CLOUD_STORE_ATTEMPTS"] = "1"
    sys.addaudithook(watch)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this process, not of its parent
        outside.clear()
    said: dict[str, Any] = {}
    try:
        with dask.config.set(scheduler="synchronous"):
            said["digest"] = digest_of(source, whole_product=whole)
    except CapacityError as error:
        said["fault"] = f"memory: {error}"
    except S2CloudError as error:
        said["error"] = type(error).__name__
        if "\n" in str(error) or len(str(error)) > 2000:
            said["fault"] = f"an error of many lines: {str(error)[:200]}"
    except BaseException as error:  # noqa: BLE001  # that is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "s2cloud/" in f.filename] or list(frames)
        last = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
        said["fault"] = f"{type(error).__name__} at {last}: {str(error)[:160]}"
    said["mb"] = max(0.0, _megabytes("VmHWM") - before)
    if said["mb"] > MEGABYTES and "fault" not in said:
        said["fault"] = f"memory: {said['mb']:.0f} MB"
    said["outside"] = outside
    answer.send(said)
    os._exit(0)


def _megabytes(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0
