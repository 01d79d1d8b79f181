"""CloudEvents of our own: who is told that a product is there, or will not be."""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from s2cloud.service.settings import read_secret

if TYPE_CHECKING:
    from s2cloud.service.products import Candidate
    from s2cloud.service.records import Ended
    from s2cloud.service.settings import AnnounceSettings

__all__ = ["Announcer", "announcement"]

logger = logging.getLogger(__name__)

_WAITS_S: Final = (0.0, 1.0, 5.0)
_ANSWER_S: Final = 10.0


def announcement(job: str, candidate: Candidate | None, ended: Ended) -> dict[str, Any]:
    """CloudEvent about the end of a job.

    Parameters
    ----------
    job
        Its name; with the state it makes the identifier, so that receivers can tell repeats.
    candidate
        What it was about.
    ended
        What became of it.

    Returns
    -------
    dict
        ``io.s2cloud.l2a.created`` with the address of the product, or ``io.s2cloud.l2a.failed``
        with the reason; the state tells ``failed`` from ``refused`` and ``cancelled``.
    """
    facts = {
        "job": job,
        "state": ended.state,
        "source": candidate.url if candidate else ended.facts.get("url", ""),
        "product": ended.facts.get("product", ""),
        "reason": ended.facts.get("reason", ""),
    }
    return {
        "specversion": "1.0",
        "id": f"{job}-{ended.state}",
        "source": "/s2cloud",
        "type": f"io.s2cloud.l2a.{'created' if ended.state == 'done' else 'failed'}",
        "subject": candidate.name if candidate else job,
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {name: value for name, value in facts.items() if value},
    }


class Announcer:
    """Sends announcements; called in the thread of the job.

    Parameters
    ----------
    settings
        Where to.
    """

    def __init__(self, settings: AnnounceSettings) -> None:
        self._settings = settings
        self.failures = 0

    def __call__(self, job: str, candidate: Candidate | None, ended: Ended) -> None:
        """Send one, three times if need be; a receiver that is down stops nothing."""
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        if self._settings.secret_file:
            headers["Authorization"] = f"Bearer {read_secret(self._settings.secret_file)}"
        data = json.dumps(announcement(job, candidate, ended)).encode()
        # The address is the operator's own, from the settings.
        request = urllib.request.Request(self._settings.url, data, headers)  # noqa: S310
        words = ""
        for wait in _WAITS_S:
            time.sleep(wait)
            try:
                with urllib.request.urlopen(request, timeout=_ANSWER_S):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                words = f"status {error.code}"
                error.close()
            except (OSError, ValueError) as error:
                words = type(error).__name__
        self.failures += 1
        logger.warning("end of job %s not announced: %s", job, words)
