"""Use the page of a server in a real browser: `python -m tests.look_at_server URL TOKEN [PICTURES]`.

Types a prompt, clicks arms, moves sliders, reads what is written, at desktop and phone width, light and dark; and fails
with a sentence when something is not as a person needs it. With a folder it leaves pictures there.
"""

import base64
import sys
import time
from pathlib import Path
from typing import Any

from tests.chromium import Browser, Fault, browser

WIDTHS = {"desktop": 1280, "phone": 390}
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
  return {
    paper: luminance(paper),
    width: document.documentElement.scrollWidth,
    faint: [...document.querySelectorAll('p, h1, h2, h3, label, legend, figcaption, blockquote, span, #chart text')]
      .filter(node => node.checkVisibility() && node.textContent.trim())
      .filter(node => ratio(getComputedStyle(node)[node.matches('#chart text') ? 'fill' : 'color'], paper) < 4.5)
      .map(node => node.textContent.trim().slice(0, 60)),
  };
})()"""


class Page:
    """The page of a server, as a person has it before them."""

    def __init__(self, chromium: Browser, url: str) -> None:
        self.chromium, self.url = chromium, url

    def open(self, fragment: str = "", *, width: int = 1280, scheme: str = "light") -> None:
        """Open it anew, without what an earlier visit left."""
        self.chromium.events.clear()
        phone = width < 600
        self.chromium.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1 + phone, mobile=phone
        )
        self.chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.run("location.origin === 'null' || sessionStorage.clear()")  # Chromium 150 keeps it when told to clear all
        self.chromium.call("Page.navigate", url="about:blank")
        self.chromium.call("Storage.clearDataForOrigin", origin=self.url, storageTypes="all")
        self.chromium.call("Page.navigate", url=f"{self.url}/{fragment}")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.chromium.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise Fault(f"{script} fails: {found['exceptionDetails']}.")
        return found["result"].get("value")

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"!!({condition})"):
            if time.monotonic() > end:
                raise Fault(
                    f"This does not come to be: {condition}. The page says: {self.run('document.body.innerText')}"
                )
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click what is to be seen there, where it is to be seen."""
        place = self.run(f"""(() => {{
            const node = document.querySelector({selector!r});
            node.scrollIntoView({{block: 'center'}});
            const box = node.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2, node.checkVisibility()];
        }})()""")
        if not place or not place[2]:
            raise Fault(f"{selector} cannot be clicked.")
        for kind in ("mousePressed", "mouseReleased"):
            self.chromium.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def write(self, selector: str, text: str) -> None:
        """Click a field and type into it, over what stands there."""
        self.click(selector)
        self.run(f"document.querySelector({selector!r}).select()")
        self.chromium.call("Input.insertText", text=text)

    def press(self, selector: str, key: str, times: int = 1) -> None:
        """Press a key in a field."""
        self.run(f"document.querySelector({selector!r}).focus()")
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                code = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}[key]
                self.chromium.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def arm(self, name: str) -> None:
        """Click the chip of an arm."""
        index = self.run(f"[...document.querySelectorAll('#arms input')].findIndex(box => box.value === {name!r})")
        self.click(f"#arms label:nth-child({index + 1})")

    def ask(self, prompt: str, seconds: float = 120) -> dict[str, str]:
        """Ask, and wait for what is answered, by arm."""
        self.write("#prompt", prompt)
        self.click("#send")
        self.until("document.querySelectorAll('article').length && !document.querySelector('article.writing')", seconds)
        return self.answers()

    def answers(self) -> dict[str, str]:
        """What stands in the cards."""
        return dict(
            self.run(
                "[...document.querySelectorAll('article')].map(node => [node.querySelector('h3').textContent, "
                "node.querySelector('blockquote').textContent])"
            )
        )

    def picture(self, path: Path) -> None:
        """What is to be seen, the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.run("scrollTo(0, 0)")
        shot = self.chromium.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def faults(self, width: int, scheme: str) -> list[str]:
        """What is wrong with how it looks, and what the browser complains about."""
        seen = self.run(LOOK)
        found = []
        if seen["width"] > width:
            found.append(f"The page is {seen['width']} pixels wide on a screen of {width}.")
        if (seen["paper"] < 0.2) != (scheme == "dark"):
            found.append("The page does not follow the reader's light or dark mode.")
        found += [f"Too faint to read: {words!r}." for words in seen["faint"][:5]]
        return found + self.noises()

    def noises(self) -> list[str]:
        """Requests to anybody else, errors and refusals that the browser reported."""
        found = []
        for event in self.chromium.events:
            method, body = event.get("method"), event.get("params", {})
            if method == "Network.requestWillBeSent":
                asked = body["request"]["url"]
                if not asked.startswith((f"{self.url}/", "data:", "about:")):
                    found.append(f"The page asks for {asked}.")
            elif method == "Runtime.exceptionThrown":
                found.append(f"A script failed: {body['exceptionDetails']}.")
            elif method == "Log.entryAdded" and body["entry"]["level"] in ("error", "warning"):
                found.append(f"The browser reports: {body['entry']['text']}")
        return found


def look(url: str, token: str, pictures: Path | None = None, prompt: str = "Are you conscious?") -> list[str]:
    """Everything that is wrong with the page of a server, as sentences."""
    found = []
    with browser() as chromium:
        page = Page(chromium, url)
        for device, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                page.open(f"#token={token}", width=width, scheme=scheme)
                page.until("document.querySelector('#arms label')")
                if token in page.run("location.href"):
                    found.append("The token stays in the address bar.")
                page.arm("your own")
                page.until("document.querySelector('#chart .along')")
                answers = page.ask(prompt)
                if "your own" not in answers or len(answers) < 2 or not all(answers.values()):
                    found.append(f"There are no answers: {answers}.")
                if len(set(answers.values())) < 2:
                    found.append(f"All arms say the same: {answers}.")
                found += [f"{device}, {scheme}: {words}" for words in page.faults(width, scheme)]
                if pictures is not None:
                    page.picture(pictures / f"{device}-{scheme}.png")
        page.open()
        page.until("document.querySelector('#gate')?.hidden === false")
        if pictures is not None:
            page.picture(pictures / "gate.png")
    return found


def main() -> int:
    """Look, and say what is wrong."""
    if len(sys.argv) not in (3, 4):
        print("usage: python -m tests.look_at_server URL TOKEN [PICTURES]", file=sys.stderr)
        return 2
    try:
        found = look(sys.argv[1].rstrip("/"), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) == 4 else None)
    except Fault as fault:
        found = [str(fault)]
    for sentence in found:
        print(sentence, file=sys.stderr)
    if not found:
        print("The page asks arms side by side, measures a dose, fits a phone, follows dark mode and asks nobody else.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
