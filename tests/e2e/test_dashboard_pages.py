import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium_pipe import INSTALL, Browser, chromium, found

EXAMPLES = Path(__file__).parents[1] / "unit" / "web" / "serve_examples.py"
WORST = "/deployments/northwind/prod/churn-signal"
PAGES = [
    "/",
    "/?as=empty",
    "/?as=hostile",
    WORST,
    "/deployments/umbrella-health/prod/triage",
    "/deployments/evil/prod/text",
    "/login",
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Give each test a browser of its own: what a page of an earlier one still asks for is no complaint of this one."""
    program = found()
    if program is None:
        missing = f"Chromium is not installed: {INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with chromium(program) as started:
        yield started


@pytest.fixture
def server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen([sys.executable, str(EXAMPLES)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        yield address, process
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_no_page_overflows_complains_or_runs_hostile_text(browser: Browser, server: tuple[str, subprocess.Popen[str]]) -> None:
    for path in PAGES:
        for width, dark in ((390, False), (1440, True)):
            browser.go(server[0] + path, width=width, dark=dark)
            assert browser.ask("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            assert browser.ask("document.querySelectorAll('script:not([src])').length") == 0
    assert browser.complaints == []


def test_text_keeps_enough_contrast_in_light_and_dark(browser: Browser, server: tuple[str, subprocess.Popen[str]]) -> None:
    measure = """(() => {
      const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const rgb = (color) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = color; probe.fillRect(0, 0, 1, 1); return [...probe.getImageData(0, 0, 1, 1).data]; };
      const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] / 255 + under[i] * (1 - top[3] / 255));
      const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
      const behind = (e) => { const own = rgb(getComputedStyle(e).backgroundColor); return own[3] === 255 || !e.parentElement ? own : over(own, behind(e.parentElement)); };
      const faint = [];
      for (const e of document.querySelectorAll('h1,h2,p,a,b,small,time,.pill,.mute,.mono,td,th,dt,dd,code,summary')) {
        if (!e.textContent.trim()) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) faint.push(e.className + ' ' + e.textContent.slice(0, 40));
      }
      return faint;
    })()"""
    for path in ("/", WORST):
        for dark in (False, True):
            browser.go(server[0] + path, dark=dark)
            assert browser.ask(measure) == [], (path, dark)


def test_a_page_says_since_when_it_is_stale_and_keeps_what_it_shows(
    browser: Browser, server: tuple[str, subprocess.Popen[str]]
) -> None:
    address, process = server
    browser.go(f"{address}{WORST}")
    browser.ask("document.querySelector('#drift-data').open = true; document.querySelector('#drift-data summary').focus(); 1")
    assert browser.ask("document.getElementById('stamp').textContent").endswith("live")
    process.kill()
    browser.wait("document.getElementById('stamp').textContent === 'stale since 04:14:24 UTC'")
    assert browser.ask("document.getElementById('connection').textContent") == "stale since 04:14:24 UTC"
    assert browser.ask("document.querySelector('#drift-data').open")
    assert browser.ask("document.querySelectorAll('#quality svg').length") > 0


def test_a_refresh_replaces_what_changed_and_keeps_the_focus(browser: Browser, server: tuple[str, subprocess.Popen[str]]) -> None:
    browser.go(f"{server[0]}/")
    link = 'a[href="/deployments/initech/prod/churn-signal"]'
    browser.ask(
        f"document.querySelector('#services {link}').focus(); served.set('services', ''); document.querySelector('#services').dataset.old = '1'; 1"
    )
    browser.wait("!('old' in document.querySelector('#services').dataset)")
    assert browser.ask(f"document.activeElement === document.querySelector('#services {link}')")


def test_the_first_stop_of_the_keyboard_is_the_skip_link_and_it_shows(
    browser: Browser, server: tuple[str, subprocess.Popen[str]]
) -> None:
    browser.go(f"{server[0]}/")
    for kind in ("keyDown", "keyUp"):
        browser("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.ask("document.activeElement.className") == "skip"
    assert browser.ask("document.activeElement.getBoundingClientRect().top >= 0")
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_focus_on_a_lineage_node_lights_what_feeds_it(browser: Browser, server: tuple[str, subprocess.Popen[str]]) -> None:
    browser.go(f"{server[0]}{WORST}")
    browser.ask("document.querySelector('.lineage a[data-node]').focus(); 1")
    lit = browser.ask("[...document.querySelectorAll('.lineage [data-node].on')].map((node) => node.dataset.node).sort().join()")
    assert lit == "churn-signal@14,initech/prod/churn-signal,labels@18,run-1187,tickets@41"
