"""`--save webhook`: posts a JSON document for every frame with detections to $WEBHOOK_URL.

A slow or absent receiver never holds up the run: documents wait in a queue, and the newest ones
stay when it is full. What did not arrive is counted, and told when the run has ended.
"""

import os
import threading
from contextlib import contextmanager
from http.client import HTTPException
from urllib.request import Request, urlopen

import orjson

from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Finding
from detect_tl.runtime.mailbox import Channel
from detect_tl.runtime.sinks import Sink, as_record

WAITING = 32  # documents in the queue
SECONDS = 5.0  # for one answer, and for what waits when the run has ended


class Sender:
    """Posts documents from a thread of its own."""

    def __init__(self, url):
        self.url = url
        self.queue = Channel(WAITING, newest=True)
        self.given = self.arrived = 0
        self.reason = "there was no time left"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for document in self.queue:
            request = Request(self.url, document, {"Content-Type": "application/json"})
            try:
                with urlopen(request, timeout=SECONDS):
                    self.arrived += 1
            except (OSError, HTTPException) as error:
                self.reason = str(error)


@contextmanager
def webhook(place):
    url = os.environ.get("WEBHOOK_URL", "")
    if not url.startswith(("http://", "https://")):  # urllib would open files as well
        raise UsageError("WEBHOOK_URL is no address", hint="Set it to http://… or https://….")
    sender = Sender(url)

    def write(frame, found):
        if len(found):
            sender.given += 1
            sender.queue.put(orjson.dumps(as_record(frame, found, place.names)))
        return True

    try:
        yield write
    finally:
        sender.queue.close()
        sender.thread.join(SECONDS)
    missing = sender.given - sender.arrived
    if missing:
        told = f"{missing} of {sender.given} documents did not reach {url}"
        if sender.queue.dropped:
            told += f", {sender.queue.dropped} of them replaced by newer ones"
        if missing > sender.queue.dropped:
            told += f"; last reason: {sender.reason}"
        place.findings.append(Finding("webhook.missing", "warning", told))


SINK = Sink("posts every frame with detections to WEBHOOK_URL", webhook, files=False)
