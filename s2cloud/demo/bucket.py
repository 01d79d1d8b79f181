"""An S3 server inside this process, for the demonstration and for tests."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bucket_on_this_machine"]

#: The server takes any key and secret; these two words cannot be mistaken for real ones.
KEY: Final = "demo"
SECRET: Final = "demo"  # noqa: S105  # nothing is guarded by it


@contextlib.contextmanager
def bucket_on_this_machine(name: str) -> Iterator[dict[str, Any]]:
    """Serve an empty bucket on a free port of the loopback interface.

    Parameters
    ----------
    name
        Name of the bucket.

    Yields
    ------
    dict
        Storage options with which fsspec reaches ``s3://<name>``.

    Raises
    ------
    UsageError
        If moto is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError(
            "the demonstration needs an embedded S3 server",
            found=f"no module {error.name}",
            fix="pip install 's2cloud[demo]'",
        ) from error
    import fsspec  # noqa: PLC0415

    # One line per request is of no use to anyone.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {
            "key": KEY,
            "secret": SECRET,
            "endpoint_url": f"http://{host}:{port}",
            # Any region but the default one, which S3 does not accept as a place for buckets.
            "client_kwargs": {"region_name": "eu-central-1"},
        }
        fs = fsspec.filesystem("s3", **options)
        fs.mkdir(name)
        try:
            yield options
        finally:
            # All servers of a process share one memory: leave nothing to the next, which may
            # have emptied it already.
            with contextlib.suppress(FileNotFoundError):
                fs.rm(name, recursive=True)
    finally:
        server.stop()
