"""Logs as JSON, one object per line, with the ids of product and job on every record."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

from typing_extensions import override

from s2cloud.scheduling.ledger import current_product

__all__ = ["JsonFormatter"]

_FIELDS: Final = ("product", "job", "source", "granule", "event", "tries", "worker")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Notes
    -----
    The job is that of the record, or the one that the thread works for.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _FIELDS:
            if (value := getattr(record, name, None)) is not None:
                values[name] = value
        if "job" not in values and (job := current_product()):
            values["job"] = job
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str)
