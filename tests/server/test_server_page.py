"""The page in a real headless Chromium: a person types, clicks and moves sliders."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import TOKEN, Running

sys.path.insert(0, str(Path(__file__).parents[2]))  # `tests` as a package, for what is also run from the command line
from tests.chromium import Browser, browser
from tests.look_at_server import WIDTHS, Page

Own = Callable[..., Any]
ENTER = "document.querySelector('#arms label')"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium")
    with browser() as found:
        yield found


@pytest.fixture
def page(chromium: Browser, served: Running) -> Page:
    return Page(chromium, served.url)


def prepare(page: Page) -> None:
    """Enter by the address that `doxa serve` prints."""
    page.open(f"#token={TOKEN}")
    page.until(ENTER)


def steered(page: Page) -> dict[str, Any]:
    return dict(page.run("steer()"))


def test_arms_answer_side_by_side_what_the_server_answers(page: Page, served: Running) -> None:
    prepare(page)
    page.arm("mid[strength=0.3]")
    page.arm("every[strength=0.6]")
    page.press("#tokens", "Home")
    page.write("#seed", "7")
    answers = page.ask("hello there")
    assert list(answers) == ["baseline", "prompted", "every[strength=0.6]"]
    messages = [{"role": "user", "content": "hello there"}]
    for arm, text in answers.items():
        assert text == served.due(arm, messages, max_tokens=8, seed=7).text
    assert page.run("document.querySelectorAll('article.done').length") == 3
    assert "8 tokens" in page.run("document.querySelector('article .muted').textContent")
    assert page.noises() == []


def test_the_token_is_taken_out_of_the_address_and_asked_for_without_it(page: Page) -> None:
    prepare(page)
    assert page.run("location.href") == f"{page.url}/"
    page.chromium.call("Page.reload")
    page.until(ENTER)  # kept for this tab
    page.open()
    page.until("document.querySelector('#gate')?.hidden === false")
    assert page.run("document.querySelector('#desk').hidden") is True
    page.write("#token", "wrong")
    page.click("#gate button")
    page.until("document.querySelector('#alert').textContent.includes('missing or wrong')")
    page.write("#token", TOKEN)
    page.click("#gate button")
    page.until("document.querySelector('#desk')?.hidden === false")
    assert page.run("document.querySelector('#alert').hidden") is True


def test_an_arm_of_ones_own_with_its_dose(page: Page, served: Running) -> None:
    prepare(page)
    assert page.run("document.querySelector('#own').hidden") is True
    page.arm("your own")
    page.press("#first", "Home")
    page.press("#last", "End")
    page.press("#strength", "ArrowLeft", times=2)
    assert steered(page) == {
        "vector": "awake-pairs.md",
        "layers": {"block": {"end": 2, "width": 3}},
        "strength": 0.5,
        "share": "total",
    }
    page.until("document.querySelector('#dose').textContent.startsWith('Planned at layer 2: 0.50')")
    rows = served.client().post("/v1/dose", json={"steer": steered(page)}).json()["vectors"][0]["rows"]
    words = page.run("document.querySelector('#dose').textContent")
    assert f"Arrived: {rows[2]['measured_projection']:.2f} along the vector, {rows[2]['measured_norm']:.2f}" in words
    assert page.run("document.querySelectorAll('#chart .planned').length") == 3
    points = page.run("document.querySelector('#chart .along').getAttribute('points')").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(heights) == 3
    drawn = [row["measured_projection"] for row in rows]
    assert sorted(range(3), key=lambda layer: -heights[layer]) == sorted(range(3), key=lambda layer: drawn[layer])
    page.press("#tokens", "Home")
    answers = page.ask("hello there")
    own = served.ask(messages=[{"role": "user", "content": "hello there"}], max_tokens=8, steer=steered(page))
    assert answers["your own"] == own.json()["choices"][0]["message"]["content"] != answers["baseline"]


def test_sliders_keep_layers_in_order_and_say_what_they_are_at(page: Page) -> None:
    prepare(page)
    page.arm("your own")
    page.press("#last", "Home")
    assert steered(page)["layers"] == {"block": {"end": 0, "width": 1}}
    page.press("#first", "End")
    assert steered(page)["layers"] == {"block": {"end": 2, "width": 1}}
    page.click("input[name=share][value=each]")
    page.press("#strength", "Home")
    assert (steered(page)["share"], steered(page)["strength"]) == ("each", -1.5)
    assert page.run("document.querySelector('#strength-shown').textContent") == "-1.5"
    assert page.run("document.querySelector('#meaning').textContent") == (
        "+ means somebody is awake; − means somebody is asleep"
    )
    page.until("document.querySelector('#dose').textContent.includes('Planned at layer 2: -1.50')")
    page.run("document.querySelector('#vector').value = '1'")
    page.run("document.querySelector('#vector').dispatchEvent(new Event('input'))")
    assert steered(page)["vector"] == "unrelated-weather"


def test_what_is_written_is_shown_and_never_obeyed(
    page: Page, served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    import doxa.server.answering as module

    hostile = "<img src=x onerror=alert(1)><script>document.title='taken'</script>&amp;"
    real = module.chunk

    def chunk(heading: Any, index: int, delta: dict[str, str], **how: Any) -> bytes:
        return real(heading, index, {**delta, "content": hostile} if "content" in delta else delta, **how)

    monkeypatch.setattr(module, "chunk", chunk)
    prepare(page)
    page.press("#tokens", "Home")
    answers = page.ask("<b>bold</b>")
    assert all(text and text.replace(hostile, "") == "" for text in answers.values())
    assert page.run("document.querySelectorAll('#answers img, #answers script, #answers b').length") == 0
    assert page.run("document.title") == "mini · doxa"
    assert page.noises() == []


def test_it_can_be_stopped(page: Page, served: Running) -> None:
    prepare(page)
    page.press("#tokens", "End")
    page.write("#prompt", "hello")
    before = served.counted("baseline", 499)
    page.click("#send")
    page.until("document.querySelector('article blockquote')?.textContent")
    page.click("#stop")
    page.until("document.querySelector('#send').hidden === false")
    stopped = page.run("[...document.querySelectorAll('article .muted')].map(node => node.textContent)")
    if "stopped" in stopped:  # a fast machine writes them in time
        served.wait(lambda: served.service.gate.inside == 0)
        assert served.counted("baseline", 499) >= before
    assert len(page.ask("again", 60)) == 3


def test_a_refusal_is_shown_in_words(page: Page, own: Own) -> None:
    prepare(page)
    long = json.dumps("x " * 6000)
    page.run(f"document.querySelector('#prompt').value = {long}")
    page.click("#send")
    page.until("document.querySelectorAll('article.failed').length === 3")
    assert "the messages have" in page.answers()["baseline"]
    with own() as other:
        gone = Page(page.chromium, other.url)
        gone.open(f"#token={TOKEN}")
        gone.until(ENTER)
    gone.write("#prompt", "hello")
    gone.click("#send")
    gone.until("document.querySelectorAll('article.failed').length === 3")


def test_it_is_as_a_person_needs_it_on_a_desktop_and_on_a_phone(page: Page, tmp_path: Path) -> None:
    for device, width in WIDTHS.items():
        for scheme in ("light", "dark"):
            page.open(f"#token={TOKEN}", width=width, scheme=scheme)
            page.until(ENTER)
            page.arm("your own")
            page.until("document.querySelector('#chart .along')")
            page.press("#tokens", "Home")
            assert len(page.ask("hello")) == 4
            assert page.faults(width, scheme) == [], device
            page.picture(tmp_path / f"{device}-{scheme}.png")
            assert (tmp_path / f"{device}-{scheme}.png").stat().st_size > 20_000
