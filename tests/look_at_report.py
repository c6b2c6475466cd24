"""Look at a report in a real browser: `python -m tests.look_at_report FOLDER [PICTURES]`.

Opens `report.html`, or the `sweep.html` of a sweep, or the `policy.html` of a corpus, from disk in headless Chromium at
desktop and phone width, light and dark, and fails with a sentence when something is not as a reader needs it. With a
second folder it leaves pictures there.
"""

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chromium import Browser, Fault, browser

WIDTHS = {"desktop": 1280, "phone": 390}
LEAST_CONTRAST = 4.5
SECTIONS = {"sweep": {"cells", "reproduce"}, "policy": {"measured", "tokens", "rows", "text", "reproduce"}}
"""Pages other than a report, by the name of their page and their data, with their sections."""
LOOK = """(() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number)
      .map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const parts = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [[r, g, b], a]; };
  const behind = node => {  // the colour of what a text stands on, through every layer that shines through
    const [own, a] = parts(getComputedStyle(node).backgroundColor);
    if (a === 1 || node === document.body) return own;
    const under = behind(node.parentElement);
    return own.map((v, i) => a * v + (1 - a) * under[i]);
  };
  const box = node => { const r = node.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  return {
    paper: luminance(paper),
    width: document.documentElement.scrollWidth,
    sections: [...document.querySelectorAll('h2[id]')].map(node => node.id),
    referee: document.querySelectorAll('ul.referee > li').length,
    scripts: document.scripts.length,
    faint: [...document.querySelectorAll('p, td, th, h1, h2, figcaption, li, dt')]
      .filter(node => node.checkVisibility() && ratio(getComputedStyle(node).color, paper) < 4.5)
      .map(node => node.textContent.trim().slice(0, 60)),
    tinted: [...document.querySelectorAll('.words span, .key span')]
      .filter(node => ratio(getComputedStyle(node).color, `rgb(${behind(node)})`) < 4.5)
      .map(node => `${node.className}: ${node.textContent.trim().slice(0, 60)}`),
    figures: [...document.querySelectorAll('figure svg')].map(svg => ({
      name: svg.dataset.name,
      visible: svg.checkVisibility(),
      box: box(svg),
      drawn: svg.querySelectorAll('path, use').length,
      texts: [...svg.querySelectorAll('text')].map(node => ({
        words: node.textContent, box: box(node), contrast: ratio(getComputedStyle(node).fill, paper),
      })),
    })),
  };
})()"""


def look(folder: Path, pictures: Path | None = None) -> list[str]:
    """Everything that is wrong with the report of a results folder, as sentences."""
    page = next((folder / f"{name}.html" for name in SECTIONS if (folder / f"{name}.json").is_file()), None)
    page = page or folder / "report.html"
    if not page.is_file():
        return [f"There is no {page}."]
    found = []
    with browser() as chromium:
        for device, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                chromium.events.clear()
                seen = _open(chromium, page, width, scheme)
                words = _faults(seen, folder, width, scheme) + _noises(chromium.events, page)
                found += [f"{device}, {scheme}: {sentence}" for sentence in words]
                if pictures is not None:
                    pictures.mkdir(parents=True, exist_ok=True)
                    shot = chromium.call("Page.captureScreenshot", captureBeyondViewport=True)
                    (pictures / f"{device}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
    return found


def _open(chromium: Browser, page: Path, width: int, scheme: str) -> Mapping[str, Any]:
    scale = 2 if width < 600 else 1
    chromium.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=scale, mobile=width < 600
    )
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    chromium.call("Page.navigate", url=page.resolve().as_uri())
    chromium.wait("Page.loadEventFired")
    value = chromium.call("Runtime.evaluate", expression=LOOK, returnByValue=True)
    if "exceptionDetails" in value:
        raise Fault(f"The page cannot be looked at: {value['exceptionDetails']}.")
    return dict(value["result"]["value"])


def _faults(seen: Mapping[str, Any], folder: Path, width: int, scheme: str) -> list[str]:
    found = []
    if seen["width"] > width:
        found.append(f"The page is {seen['width']} pixels wide on a screen of {width}.")
    if (seen["paper"] < 0.2) != (scheme == "dark"):
        found.append("The page does not follow the reader's light or dark mode.")
    if seen["scripts"]:
        found.append(f"The page has {seen['scripts']} scripts.")
    found += [f"There is no section {one}." for one in sorted(_expected(folder) - set(seen["sections"]))]
    if "referee" in _expected(folder) and seen["referee"] < 8:
        found.append(f"The referee's box has {seen['referee']} answers.")
    found += [f"Too faint to read: {words!r}." for words in (*seen["faint"][:5], *seen["tinted"][:5])]
    names = {figure["name"] for figure in seen["figures"]}
    written = {path.stem for path in (folder / "figures").glob("*.svg")}
    if not written or names != written:
        found.append(f"The page shows the figures {sorted(names)}, the folder has {sorted(written)}.")
    for figure in seen["figures"]:
        left, top, right, bottom = figure["box"]
        if not figure["visible"] or right - left < 250 or bottom - top < 100 or figure["drawn"] < 10:
            found.append(f"Figure {figure['name']} is not to be seen.")
        for text in figure["texts"]:
            a, b, c, d = text["box"]
            if a < left - 2 or b < top - 2 or c > right + 2 or d > bottom + 2:
                found.append(f"Figure {figure['name']} cuts {text['words']!r}.")
            if text["contrast"] < LEAST_CONTRAST:
                found.append(f"Figure {figure['name']} writes {text['words']!r} too faintly.")
    return found


def _expected(folder: Path) -> set[str]:
    """The sections that a folder has data for."""
    for name, own in SECTIONS.items():
        if (folder / f"{name}.json").is_file():
            return own
    sections = {"effects", "referee", "estimates", "missing", "reproduce"}
    for name, key in (("dose", "rows"), ("transcripts", "transcripts")):
        path = folder / f"{name}.json"
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))[key]:
            sections.add(name)
    return sections


def _noises(events: list[Mapping[str, Any]], page: Path) -> list[str]:
    """Requests other than the page itself, errors and refusals that the browser reported."""
    found = []
    for event in events:
        method, body = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            url = body["request"]["url"]
            if url != page.resolve().as_uri() and not url.startswith("data:"):
                found.append(f"The page asks for {url}.")
        elif method == "Runtime.exceptionThrown":
            found.append(f"A script failed: {body['exceptionDetails'].get('text')}.")
        elif method == "Log.entryAdded" and body["entry"]["level"] in ("error", "warning"):
            found.append(f"The browser reports: {body['entry']['text']}")
    return found


def main() -> int:
    """Look, and say what is wrong."""
    if len(sys.argv) not in (2, 3):
        print("usage: python -m tests.look_at_report FOLDER [PICTURES]", file=sys.stderr)
        return 2
    try:
        found = look(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)
    except Fault as fault:
        found = [str(fault)]
    for sentence in found:
        print(sentence, file=sys.stderr)
    if not found:
        print("The report opens from disk, shows its figures, fits a phone, follows dark mode and asks nobody.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
