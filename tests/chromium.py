"""A headless Chromium, driven through its debugging pipe."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any


class Fault(Exception):
    """What is wrong with a page, as a sentence."""


class Browser:
    """One page of a headless Chromium, driven through its debugging pipe."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb", buffering=0), os.fdopen(write, "wb", buffering=0)
        self._rest, self._last, self._session = b"", 0, ""
        self.events: list[Mapping[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """Send one command and wait for its answer; events on the way are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._last:
                if "error" in found:
                    raise Fault(f"Chromium refuses {method}: {found['error']['message']}.")
                return dict(found["result"])
            self.events.append(found)

    def wait(self, event: str) -> None:
        """Wait for an event that may have come already."""
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._next())

    def close(self) -> None:
        """Let go of the pipe."""
        self._read.close()
        self._write.close()

    def _next(self) -> Mapping[str, Any]:
        while b"\0" not in self._rest:
            part = self._read.read(1 << 20)
            if not part:
                raise Fault("Chromium has ended.")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium with an empty profile.

    Raises:
        Fault: When none is installed.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise Fault("There is no Chromium: apt-get install chromium.")
    there, ours = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        inward, outward = os.dup(there[0]), os.dup(ours[1])

        def place() -> None:  # Chromium reads commands from descriptor 3 and answers on 4
            high = [os.dup(descriptor) for descriptor in (inward, outward)]
            while min(high) <= 4:
                high = [os.dup(descriptor) for descriptor in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        flags = ("headless=new", "no-sandbox", "disable-gpu", "remote-debugging-pipe", "no-first-run")
        flags += ("disable-dev-shm-usage", "disable-background-networking", f"user-data-dir={profile}")
        process = subprocess.Popen(
            [program, *(f"--{flag}" for flag in flags)],
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            pass_fds=(3, 4),
        )
        for descriptor in (inward, outward, there[0], ours[1]):
            os.close(descriptor)
        try:
            with closing(Browser(ours[0], there[1])) as found:
                yield found
        finally:
            process.terminate()
            process.wait(20)
