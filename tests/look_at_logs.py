"""Look at the logs of a results folder in Inspect's viewer: `python -m tests.look_at_logs FOLDER [PICTURES]`.

Starts `inspect view`, opens in headless Chromium the list of logs, one log of every kind (scored, scored controls,
generated) and one of its samples, and fails with a sentence when what is in the files is not on the screen. The table
that is read from the logs alone must equal `table.parquet`. With a second folder it leaves pictures there.
"""

import base64
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from inspect_ai.log import read_eval_log
from pandas.testing import assert_frame_equal
from tests.chromium import Browser, Fault, browser

from doxa.bridge.logs import read_table, table_from_logs

PATIENCE = 60.0
"""Seconds after which what is not on the screen is missing."""
KINDS = {"scored": "scored_*[!~]*.eval", "controls": "scored_*~*.eval", "generated": "20*.eval"}


@contextmanager
def viewer(logs: Path) -> Iterator[str]:
    """Run `inspect view` on a folder; the address of its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).parent / "inspect")
    process = subprocess.Popen(
        [program, "view", "start", "--log-dir", str(logs), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise Fault("`inspect view` does not start.") from None
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def look(folder: Path, pictures: Path | None = None) -> list[str]:
    """Everything that is wrong with the logs of a results folder, as sentences."""
    logs = folder / "logs"
    if not logs.is_dir():
        return [f"There is no {logs}."]
    found = []
    try:
        assert_frame_equal(table_from_logs(logs), read_table(folder / "table.parquet"))
    except AssertionError as error:
        found.append(f"The table read from the logs alone is not table.parquet: {error}")
    with viewer(logs) as address, browser() as chromium:
        chromium.call("Emulation.setDeviceMetricsOverride", width=1300, height=900, deviceScaleFactor=1, mobile=False)
        found += _missing(chromium, "list", f"{address}/#/logs/", [f"{len(list(logs.glob('*.eval')))} rows"], pictures)
        for kind, pattern in KINDS.items():
            paths = sorted(path for path in logs.glob(pattern) if kind != "scored" or "~" not in path.name)
            if not paths:
                continue
            log = read_eval_log(str(paths[0]))
            assert log.samples, paths[0]
            sample = log.samples[0]
            page = f"{address}/#/logs/{quote(paths[0].name)}"
            words = [log.eval.model, str(sample.id)]
            found += _missing(chromium, kind, page, words, pictures)
            asked = sample.input if isinstance(sample.input, str) else sample.input[-1].text
            said = [asked.split("\n")[0], *sample.output.completion.split("\n")[:1]]
            messages = f"{page}/samples/sample/{quote(str(sample.id), safe='')}/{sample.epoch}/messages"
            found += _missing(chromium, f"{kind}-sample", messages, [" ".join(one.split()) for one in said], pictures)
    return found


def _missing(chromium: Browser, name: str, url: str, words: list[str], pictures: Path | None) -> list[str]:
    """Which of some words a page does not show, and what it reports as an error."""
    chromium.events.clear()
    chromium.call("Page.navigate", url="about:blank")
    chromium.call("Page.navigate", url=url)
    end, left = time.monotonic() + PATIENCE, ["anything"]
    while left and time.monotonic() < end:
        time.sleep(0.2)
        shown = chromium.call("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)
        text = " ".join(str(shown["result"]["value"]).split())
        left = [one for one in words if one not in text] + ["all of it"] * ("Loading " in text)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        shot = chromium.call("Page.captureScreenshot")
        (pictures / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    thrown = any(one.get("method") == "Runtime.exceptionThrown" for one in chromium.events)
    return [f"{name}: {one!r} is not on the screen." for one in left] + ["A script failed."] * thrown


def main() -> int:
    """Look, and say what is wrong."""
    if len(sys.argv) not in (2, 3):
        print("usage: python -m tests.look_at_logs FOLDER [PICTURES]", file=sys.stderr)
        return 2
    try:
        found = look(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)
    except Fault as fault:
        found = [str(fault)]
    for sentence in found:
        print(sentence, file=sys.stderr)
    if not found:
        print("`inspect view` opens logs of every kind, and the table read from the logs alone equals table.parquet.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
