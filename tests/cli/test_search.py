"""`batch --stac-api` against an API of STAC on this machine, and dask's report of a batch."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from s2cloud.simulation import simulate_l1c

CLASSES = ("core", "item-search", "collections")


@pytest.fixture
def api(tmp_path):
    """Address of an API that knows one product in two places, and the searches it was asked."""
    source = Path(simulate_l1c(tmp_path / "l1c", size=96).uri)
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self, values, kind="application/json"):
            text = json.dumps(values).encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self):  # the protocol of http.server
            root = f"http://127.0.0.1:{server.server_port}"
            search = {"rel": "search", "href": f"{root}/search", "type": "application/geo+json"}
            self.answer(
                {
                    "type": "Catalog",
                    "id": "here",
                    "description": "products of this machine",
                    "stac_version": "1.0.0",
                    "conformsTo": [f"https://api.stacspec.org/v1.0.0/{name}" for name in CLASSES],
                    "links": [
                        {"rel": "root", "href": root, "type": "application/json"},
                        {**search, "method": "POST"},
                    ],
                }
            )

        def do_POST(self):  # the protocol of http.server
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            item: dict[str, Any] = {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": source.stem,
                "geometry": None,
                "properties": {"datetime": "2025-06-15T10:15:59Z"},
                "links": [],
                "assets": {"metadata": {"href": f"{source}/MTD_MSIL1C.xml"}},
            }
            self.answer({"type": "FeatureCollection", "features": [item], "links": []})

        @override
        def log_message(self, format, *args):  # its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_search_names_the_products_and_dask_reports_on_them(run, api, tmp_path):
    pytest.importorskip("pystac_client")
    pytest.importorskip("bokeh")
    address, asked = api
    report = tmp_path / "report.html"
    area = ("--search-bbox", "11,46,12,47", "--datetime", "2025-06-01/2025-06-30")
    where = ("--cluster", "local", "--workers", "1", "--report", report)
    more = ("--stac-api", address, *area, "--max-items", "5", *where, "--format", "cog", "--json")
    code, out, err = run("batch", tmp_path / "l2a", *more)
    assert code == 0, err
    (product,) = json.loads(out)["products"]
    assert product["state"] == "done"
    (search,) = asked
    assert search["collections"] == ["sentinel-2-l1c"]
    assert search["bbox"] == [11.0, 46.0, 12.0, 47.0]
    assert search["datetime"] == "2025-06-01T00:00:00Z/2025-06-30T23:59:59Z"
    text = report.read_text()
    assert "Dask Performance Report" in text
    assert "write-cog" in text
