"""The report as a real browser shows it: no network, no error, sorting, light and dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.results import to_dataframe
from tests.invented_search import Foretelling, tuner

pytest.importorskip("matplotlib").use("Agg")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is on the PATH"
    ),
]

WATCH = "<head><script>var errors = []; onerror = told => errors.push(told)</script>"
PROBE = """<script>
const rows = () => [...document.querySelectorAll("tbody tr")].map(
  row => [...row.cells].map(cell => cell.textContent));
const seen = {before: rows(), sorted: {}};
for (const th of document.querySelectorAll("th")) {
  const name = th.textContent, both = [];
  for (let i = 0; i < 2; i++) {
    th.firstChild.click();
    both.push([th.getAttribute("aria-sort"), rows().map(row => row[th.cellIndex])]);
  }
  seen.sorted[name] = both;
}
const colours = element => [getComputedStyle(element).color,
  getComputedStyle(element).backgroundColor];
Object.assign(seen, {
  errors: errors,
  requests: performance.getEntriesByType("resource").map(entry => entry.name),
  body: colours(document.body),
  ink: getComputedStyle(document.querySelector("svg text")).fill,
  overflow: document.documentElement.scrollWidth - innerWidth,
  pictures: [...document.querySelectorAll("svg")].map(svg => {
    const box = svg.getBoundingClientRect();
    return [box.width, box.height];
  }),
  outside: [...document.querySelectorAll("svg text")].filter(text => {
    const box = text.getBoundingClientRect(),
      svg = text.closest("svg").getBoundingClientRect();
    return box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 1;
  }).map(text => text.textContent),
});
document.body.innerHTML = "<pre id=seen></pre>";
document.querySelector("#seen").textContent = JSON.stringify(seen);
</script></body>"""


def look(report: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    """What a script in the page sees there."""
    page = folder / "probed.html"
    text = report.read_text().replace("<head>", WATCH, 1)
    page.write_text(text.replace("</body>", PROBE, 1))
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        *arguments,
        "--dump-dom",
        page.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert found, shown.stderr[-3000:]
    return dict(json.loads(html.unescape(found[1])))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search with all pictures: stopped and failed trials, parents, a conditional value."""
    folder = tmp_path_factory.mktemp("report")
    searched = tuner(
        folder,
        kt_plus.EvolutionarySearch,
        stopping=Foretelling(),
        fails=("03", "11"),
        max_trials=40,
    )
    searched.search(verbose=0)
    return searched, Path(kt_plus.report(searched, folder / "report.html"))


def test_it_is_shown_without_errors_or_requests(report: Any, tmp_path: Path) -> None:
    searched, path = report
    seen = look(path, tmp_path, "--window-size=1280,1000")
    assert seen["errors"] == []
    assert seen["requests"] == []
    assert seen["overflow"] <= 0
    assert seen["outside"] == []
    assert len(seen["pictures"]) == 6
    assert all(width > 400 and height > 250 for width, height in seen["pictures"])
    frame = to_dataframe(searched)
    best_first = frame["score"].sort_values(ascending=False, kind="stable").index
    assert [row[0] for row in seen["before"]] == [*best_first]


def test_a_click_sorts(report: Any, tmp_path: Path) -> None:
    searched, path = report
    seen, frame = look(path, tmp_path), to_dataframe(searched)
    assert {"trial", "score", "kind", "noise", "stop_reason", "error"} <= seen["sorted"].keys()
    for name, ((up, ascending), (down, descending)) in seen["sorted"].items():
        assert (up, down) == ("ascending", "descending"), name
        filled = [value for value in ascending if value]
        assert ascending == filled + [""] * (len(ascending) - len(filled)), name
        assert descending == filled[::-1] + [""] * (len(ascending) - len(filled)), name
    numbers = [float(value) for value in seen["sorted"]["score"][0][1] if value]
    assert numbers == pytest.approx(sorted(frame["score"].dropna()), rel=1e-4)
    assert seen["sorted"]["kind"][0][1] == sorted(frame["kind"])


def test_light_and_dark(report: Any, tmp_path: Path) -> None:
    light = look(report[1], tmp_path)
    dark = look(report[1], tmp_path, "--blink-settings=preferredColorScheme=0")
    assert light["body"] == ["rgb(26, 26, 26)", "rgb(255, 255, 255)"]
    assert dark["body"] == ["rgb(230, 230, 230)", "rgb(22, 24, 28)"]
    assert light["ink"] == "rgb(26, 26, 26)"
    assert dark["ink"] == "rgb(230, 230, 230)"


def test_on_a_telephone_the_page_does_not_scroll_sideways(report: Any, tmp_path: Path) -> None:
    seen = look(report[1], tmp_path, "--window-size=500,900")
    assert seen["overflow"] <= 0
    assert all(width <= 500 for width, _ in seen["pictures"])
