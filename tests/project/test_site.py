"""The site: built without a network and without a warning, whole, and playable where there is no kernel."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import axe
import pytest
from explorers import sentences

from entropic_edu.course.let_go import common
from entropic_edu.course.let_go.film import of_grid

ROOT = Path(__file__).parents[2]
PAGES = ["index", "glossary", "findings", "design", "binder", "front_ends", "versions", "faults", "sweeps"]
PAGES += [
    "paper",
    "recordings",
    "story",
    "results",
    "related",
    "inventory",
    "replications",
    "checklists",
    "jupyterlite",
    "site/live_digits",
]
PAGES += [
    f"site/{name}" for name in ("start", "lessons", "gallery", "api", "teaching", "your_network", "speed", "live")
]
PAGES += [f"repository/{name}" for name in ("CHANGELOG", "SECURITY", "CONTRIBUTING", "CODE_OF_CONDUCT")] + [
    "teachers/guide"
]
PAGES += [f"lessons/{file.stem}" for file in sorted((ROOT / "lessons").glob("*.ipynb"))]

pytest.importorskip("furo", reason='the site needs pip install "entropic-edu[site]"')


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, as ``make site`` builds it, from a copy of what it is made from, with no way out."""
    place = tmp_path_factory.mktemp("site")
    pages = ("README.md", "CHANGELOG.md", "SECURITY.md", "CITATION.cff", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md")
    for name in ("docs", "lessons", *pages):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place / name)
    for name in ("LICENSE", "LICENSE-lessons", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, place / name)
    environment = os.environ | dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "out"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr == ""
    return place / "out"


class Found(HTMLParser):
    """What a page names: places within it, and what it leads to or loads."""

    def __init__(self, page):
        super().__init__()
        self.places, self.links, self.loads, self.silent = set(), [], [], []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.loads.append(given["href"])
        if tag == "img" and not given.get("alt", "").strip():
            self.silent.append(given.get("src"))


@pytest.fixture(scope="module")
def pages(built):
    return {page: Found(page) for page in built.rglob("*.html")}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_there(name, built):
    assert (built / f"{name}.html").is_file()


def test_pages_tell_catalogues_what_they_are(built):
    def known(name):
        page = (built / f"{name}.html").read_text("utf-8")
        return [json.loads(data) for data in re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)]

    (start,) = known("index")
    assert [each["@type"] for each in start["@graph"]] == ["LearningResource", "SoftwareSourceCode"]
    for page in (built / "lessons").glob("[0-9]*.html"):
        (lesson,) = known(f"lessons/{page.stem}")
        assert lesson["name"].startswith(page.stem[:2])
        assert re.fullmatch(r"PT[1-9][05]M", lesson["timeRequired"]), page
        assert len(lesson["description"]) > 40
    assert known("binder") == []
    assert '<meta name="description"' in (built / "binder.html").read_text("utf-8")


def test_every_link_within_the_site_leads_somewhere(pages, built):
    broken = []
    for page, found in pages.items():
        for link in found.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, place = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.is_file() or (place and target.suffix == ".html" and place not in pages[target].places):
                broken.append((page.relative_to(built).as_posix(), link))
    assert broken == []


def test_nothing_is_loaded_from_elsewhere_and_all_is_there(pages):
    for page, found in pages.items():
        for link in found.loads:
            assert not re.match(r"([a-z]+:)?//", link), (page, link)
            assert link.startswith("data:") or (page.parent / unquote(link).partition("?")[0]).is_file(), (page, link)


def test_links_to_elsewhere_go_to_few_places(pages):
    hosts = {
        re.match(r"https?://([^/]+)", link)[1] for found in pages.values() for link in found.links if "://" in link
    }
    print("links lead to", ", ".join(sorted(hosts)))
    assert {"arxiv.org", "github.com", "mybinder.org", "colab.research.google.com"} <= hosts
    assert len(hosts) < 20


def test_every_picture_of_a_lesson_has_words(pages, built):
    for page, found in pages.items():
        if page.parent.name == "lessons":
            assert [each for each in found.silent if "logo" not in each] == [], page
            assert "&lt;Figure" not in page.read_text("utf-8"), page  # of Matplotlib: no words


def test_pictures_are_white_on_a_light_page_and_on_paper_and_dark_on_a_dark_one(built, browser):
    def seen(scheme, media="screen"):
        page = browser.new_context(color_scheme=scheme).new_page()
        page.emulate_media(media=media)
        page.goto((built / "lessons" / "first_road.html").as_uri())
        filtered = page.locator("article img").first.evaluate("image => getComputedStyle(image).filter")
        page.evaluate("document.body.parentElement.classList.add('show-back-to-top')")  # as the theme does
        shown = page.locator(".back-to-top, .skip-to-content").evaluate_all(
            "parts => parts.filter(part => getComputedStyle(part).display !== 'none').length"
        )
        page.context.close()
        return filtered.split("(")[0], shown

    assert seen("light") == ("none", 2)
    assert seen("dark") == ("invert", 2)
    assert seen("dark", "print") == ("none", 0)


def test_no_formula_needs_a_script_and_none_is_left_as_text(built):
    for page in built.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "mathjax" not in text.lower()
        words = re.sub(r"<pre.*?</pre>|<code.*?</code>|<annotation.*?</annotation>", "", text, flags=re.DOTALL)
        assert not re.search(r"\$\$|\\frac|\\eta", words), page
    assert "<math" in (built / "lessons" / "01_one_valley.html").read_text("utf-8")


def test_the_glossary_holds_the_terms_of_the_lessons(built):
    text = (built / "glossary.html").read_text("utf-8")
    for term in ("walker", "batch-size", "control", "recorded", "trace", "free-energy"):
        assert f'id="term-{term}"' in text, term


def test_the_runs_on_the_site_are_those_of_the_recording(built):
    for size in common.BATCHES:
        for rate in common.RATES:
            name = f"{'all' if size is None else size}-{rate:g}"
            script = (built / "_static" / "walkers" / f"run-{name}.js").read_text("utf-8")
            given = json.loads(re.fullmatch(r'entropicRun\("[\w.-]+", (.*)\);\n', script)[1])
            assert given["_sentences"] == sentences(of_grid(size, rate))
            assert len(script) < 200_000  # bytes that a slider's step loads


@pytest.mark.soak
def test_the_how_to_runs_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "site" / "your_network.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    exec(compile(code, "your_network.md", "exec"), {"__name__": "how_to"})
    assert (tmp_path / "release.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def address(built):
    """Where a plain web server shows the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=built))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("way", ["server", "folder"])
@pytest.mark.parametrize("name", ["index", "lessons/06_let_go"])
def test_the_player_plays_what_its_sliders_say(name, way, built, address, browser):
    page = browser.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    root = address if way == "server" else built.as_uri()
    page.goto(f"{root}/{name}.html")
    player = page.locator(".ee-static")
    player.locator("canvas").wait_for(timeout=20_000)
    sizes, sentence = [str(size or "all") for size in common.BATCHES], player.locator(".ee-sentence")
    size, rate = (player.locator(".ee-static-controls input").nth(i) for i in (0, 1))
    assert sentence.inner_text() == sentences(of_grid(16, 0.02))[-1]
    for step, shown in enumerate(sizes[1:], 1):
        size.press("ArrowRight")
        page.wait_for_function(f"document.querySelector('.ee-static').dataset.run === '{shown}-0.02'")
        assert sentence.inner_text() == sentences(of_grid(common.BATCHES[step], 0.02))[-1]
        assert player.locator("output").first.inner_text() == shown
    rate.press("ArrowRight")
    page.wait_for_function("document.querySelector('.ee-static').dataset.run === 'all-0.04'")
    player.locator("input[type=range]").last.press("Home")
    assert sentence.inner_text() == sentences(of_grid(None, 0.04))[0]
    page.wait_for_load_state("load")  # pictures that come later would push it away
    player.locator("canvas").evaluate("canvas => canvas.scrollIntoView({block: 'center'})")  # it plays where it is seen
    # by keyboard: where the theme's button to the top lies over it, a click scrolls on until the canvas is out of sight
    player.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function("Number(document.querySelector('.ee-static canvas').dataset.frame) > 0", timeout=20_000)
    player.get_by_role("button", name="Pause").press("Enter")
    assert player.locator(".ee-player").count() == 1
    assert said == []
    assert [url for url in asked if not url.startswith((root, "data:", "blob:"))] == []
    page.close()


def test_nothing_moves_for_those_who_asked_for_it(address, browser):
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(f"{address}/index.html")
    button = page.locator(".ee-static .ee-player button")
    button.wait_for(timeout=20_000)
    assert button.is_disabled()
    page.context.close()


def test_a_run_that_is_missing_is_said(address, browser):
    page = browser.new_page()
    page.route("**/run-32-*.js", lambda route: route.abort())
    page.goto(f"{address}/index.html")
    page.locator(".ee-static canvas").wait_for(timeout=20_000)
    size = page.locator(".ee-static-controls input").first
    size.press("ArrowRight")
    status = page.locator(".ee-static-status", has_text="could not be loaded")
    status.wait_for(timeout=10_000)
    size.press("ArrowRight")
    page.wait_for_function("document.querySelector('.ee-static').dataset.run === '64-0.02'")
    assert not status.count()
    page.close()


def test_the_start_page_fits_a_telephone(address, browser):
    page = browser.new_context(viewport={"width": 400, "height": 800}).new_page()
    page.goto(f"{address}/index.html")
    page.locator(".ee-static canvas").wait_for(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (900, "light"), (1600, "dark")])
def test_the_first_page_shows_its_stage_at_once_from_a_folder(width, scheme, built, browser):
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{built.as_uri()}/index.html")
    shifts = page.evaluate("""() => new Promise(done => {
      let sum = 0;
      new PerformanceObserver(list => { for (const each of list.getEntries()) sum += each.value; })
        .observe({ type: 'layout-shift', buffered: true });
      setTimeout(() => done(sum), 300);
    })""")
    assert shifts < 0.01
    assert page.locator(".ee-stage").get_attribute("data-step") == "240"  # there before anything is pressed
    assert page.locator(".ee-stage canvas").first.bounding_box()["y"] < 600  # in sight
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".ee-stage-dark").count() == (scheme == "dark")
    page.evaluate("""() => {
      const root = document.querySelector('.ee-stage');
      window.least = Infinity;
      new MutationObserver(() => { window.least = Math.min(window.least, Number(root.dataset.step)); })
        .observe(root, { attributes: true, attributeFilter: ['data-step'] });
    }""")
    page.get_by_role("button", name="Play").first.press("Enter")
    page.wait_for_function("least < 240 && Number(document.querySelector('.ee-stage').dataset.step) > least + 30")
    assert said == []
    assert [url for url in asked if not url.startswith((built.as_uri(), "data:", "blob:"))] == []
    page.context.close()


def test_the_first_lessons_have_their_stage_on_the_site_too(built):
    for name in ("00_start", "01_one_valley", "02_flat_floor", "03_tug_of_war"):
        page = (built / "lessons" / f"{name}.html").read_text("utf-8")
        assert page.count('class="ee-stage-place"') == 1, name
        assert "../_static/live/stage.js" in page


SOME = ["index.html", "lessons/02_flat_floor.html", "site/api.html", "site/live.html"]


def test_a_keyboard_and_a_screen_reader_can_use_the_pages_that_are_most_unlike(built, browser):
    assert axe.look(browser, [(built / name).as_uri() for name in SOME], "320 light") == {}


@pytest.mark.soak
@pytest.mark.parametrize("shape", axe.SHAPES)
def test_a_keyboard_and_a_screen_reader_can_use_every_page(shape, built, browser):
    pages = [page.as_uri() for page in sorted(built.rglob("*.html"))]
    assert len(pages) > 50
    assert axe.look(browser, pages, shape, same="/_modules/entropic_edu/") == {}


def test_axe_sees_what_is_planted(built, browser):
    page = browser.new_page()
    page.goto((built / "search.html").as_uri())
    page.evaluate("document.querySelector('article').append(document.createElement('img'))")
    assert [told.split(" ")[0] for told in axe.violations(page, "article")] == ["image-alt"]
    page.close()
