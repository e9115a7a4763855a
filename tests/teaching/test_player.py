"""The walker player: what Python promises, and what a real browser does with ``player.js``."""

import base64
import io
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from entropic_edu.teaching import strings

pytest.importorskip("anywidget", reason="the player needs anywidget")
from entropic_edu.physics.valleys import Waist
from entropic_edu.teaching import player as module  # (after the guard)
from entropic_edu.teaching.player import Panel, Player

WIDTH, HEIGHT = 830, 460
PLAN = (0.1, 0.4, 0.85, 0.5)
ALONG, ACROSS, DENSITY = (-1.25, 1.25), (-1.0, 1.0), (0.0, 4.0)


def white(width=WIDTH, height=HEIGHT):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "png")
    return file.getvalue()


def panels():
    y = torch.linspace(*ALONG, 101)
    return [
        Panel("plan", PLAN, ALONG, ACROSS),
        Panel("histogram", (0.1, 0.1, 0.4, 0.2), ALONG, DENSITY),
        Panel("curve", (0.6, 0.1, 0.35, 0.2), ALONG, (0.0, 2.0), torch.stack([y, y.square()], 1)),
    ]


def make(walkers, **changes):
    records = len(walkers)
    given = {
        "along": walkers[..., 0],
        "step": [10 * record for record in range(records)],
        "background": white(),
        "width": WIDTH,
        "height": HEIGHT,
        "panels": panels(),
        "sentences": [f"Record {record} is shown." for record in range(records)],
        "seconds": 4.0,
        "title": "A test crowd",
    }
    return Player(walkers, **(given | changes))


def still(records=5, count=3):
    return torch.zeros(records, count, 2)


def blue(png):
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return (pixels[..., 2] - pixels[..., 0] > 60) & (pixels[..., 0] < 150)


# --- without a browser ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"along": torch.zeros(5, 4)}, r"here \(5, 3\), got \(5, 4\)"),
        ({"step": range(4)}, "step needs one entry for each of the 5 records, got 4"),
        ({"sentences": ["one"]}, "sentences needs one entry for each of the 5 records, got 1"),
        ({"background": b"JFIF"}, "bytes of a PNG"),
        ({"panels": panels()[1:]}, r"needs a panel of the kind 'plan', got \['histogram', 'curve'\]"),
        ({"seconds": 0.0}, "are positive, got 0.0"),
        ({"groups": [(2, True)]}, "each of the 3 walkers once, got groups of 2"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        make(still(), **changes)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 3), (0, 3, 2)])
def test_walkers_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(R, W, 2\)"):
        make(torch.zeros(shape), along=torch.zeros(shape[:2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map", PLAN, ALONG, ACROSS), "kind plan, histogram, curve, got 'map'"),
        (("plan", (0.1, 0.4, 1.2, 0.5), ALONG, ACROSS), "inside the picture"),
        (("plan", PLAN, (1.0, 1.0), ACROSS), "limits x"),
        (("plan", PLAN, ALONG, (0.0, float("inf"))), "limits y"),
        (("curve", PLAN, ALONG, ACROSS), "A curve belongs to the kind 'curve'"),
        (("plan", PLAN, ALONG, ACROSS, torch.zeros(4, 2)), "A curve belongs to the kind 'curve'"),
        (("curve", PLAN, ALONG, ACROSS, torch.zeros(4)), r"shape \(N, 2\), got \(4,\)"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Panel(*arguments)


def test_the_sentence_is_that_of_the_shown_frame():
    player = make(still())
    assert player.sentence == "Record 0 is shown."
    player.frame = 3
    assert player.sentence == "Record 3 is shown."
    with pytest.raises(Exception, match="0 to 4, got 5"):
        player.frame = 5


def test_walkers_travel_as_float32_in_order(generator):
    walkers = torch.randn(4, 6, 2, generator=generator, dtype=torch.float64)
    sent = make(walkers).get_state()
    assert np.frombuffer(sent["_plan"], "<f4").reshape(4, 6, 2) == pytest.approx(walkers.numpy(), rel=1e-6)
    assert np.frombuffer(sent["_along"], "<f4").reshape(4, 6) == pytest.approx(walkers[..., 0].numpy(), rel=1e-6)


def test_all_that_is_sent_is_json_but_for_the_bytes():
    curve = torch.tensor([[0.0, 1.0], [1.0, float("nan")]])
    state = make(still(), panels=[panels()[0], Panel("curve", PLAN, ALONG, ACROSS, curve)]).get_state()
    plain = {name: value for name, value in state.items() if not isinstance(value, bytes | memoryview)}
    assert json.loads(json.dumps(plain, allow_nan=False))["_panels"][1]["curve"] == [[0.0, 1.0]]


def test_a_busy_kernel_cannot_throw_the_player_back():
    # an echo of an old frame would come late and be taken for an order
    assert Player.class_traits()["frame"].metadata["echo_update"] is False


def test_the_filmstrip_has_a_dot_where_the_walker_stands():
    # one walker that runs along the floor: in the first moment it stands in the left quarter, in the last at the right
    walkers = torch.stack([torch.linspace(-1, 1, 10), torch.linspace(-0.5, 0.5, 10)], -1)[:, None]
    found = blue(make(walkers, title="").filmstrip)
    width = found.shape[1]
    assert width == round(8.3 * 120)
    for i, record in enumerate((0, 3, 6, 9)):
        quarter = found[:, i * width // 4 : (i + 1) * width // 4]
        rows, columns = quarter.nonzero()
        share = (walkers[record, 0, 0].item() - ALONG[0]) / (ALONG[1] - ALONG[0])
        # a moment takes all of its quarter but for a gap of a few pixels
        assert columns.mean() / (width / 4) == pytest.approx(share, abs=0.05), record
        tall = (width / 4) * (PLAN[3] * HEIGHT) / (PLAN[2] * WIDTH)
        top = 0.34 * 120  # of the plan, below its title
        up = (walkers[record, 0, 1].item() - ACROSS[0]) / (ACROSS[1] - ACROSS[0])
        assert 1 - (rows.mean() - top) / tall == pytest.approx(up, abs=0.05), record


def test_walkers_that_are_not_finite_leave_the_filmstrip_white():
    walkers = torch.full((5, 3, 2), float("nan"))
    walkers[:, 1] = float("inf")
    assert not blue(make(walkers).filmstrip).any()


@pytest.mark.parametrize(("records", "count"), [(1, 3), (2, 3), (5, 0)])
def test_a_short_or_empty_run_has_a_filmstrip_too(records, count):
    assert Image.open(io.BytesIO(make(still(records, count)).filmstrip)).width == round(8.3 * 120)


def test_the_filmstrip_has_the_same_bytes_twice(generator):
    walkers = torch.randn(8, 20, 2, generator=generator)
    first, second = make(walkers).filmstrip, make(walkers).filmstrip
    assert first == second
    assert b"Software" not in first


def test_the_bundle_reads_well_where_no_widget_runs():
    player = make(still())
    data, _ = player._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == player.filmstrip
    assert data["text/plain"] == "A test crowd: Record 4 is shown."
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == player.model_id


def test_all_words_of_the_page_are_in_the_catalogue():
    script = resources.files("entropic_edu.teaching").joinpath("player.js").read_text("utf-8")
    asked = {
        part.split(".")[0].split(",")[0].split(" ")[0].split(";")[0].split(")")[0].split(":")[0]
        for part in script.split("words.")[1:]
    }
    assert asked == set(make(still()).get_state()["_words"])
    used = {key for key in strings.catalogue("en") if key.startswith("player.")}
    sent = {f"player.{name}" for name in asked - {"key"}} | {f"player.key.{panel.kind}" for panel in panels()}
    assert (
        strings.text("player.key.groups") in make(still(), groups=[(2, True), (1, False)]).get_state()["_words"]["key"]
    )
    assert used == sent | {"player.key.groups", "player.keys", "player.described", "player.moment"}


# --- in a browser --------------------------------------------------------------------------------------------------

PAGE = """<!doctype html><meta charset="utf-8"><title>player</title><style>body {{ margin: 16px }} {css}</style>
<div id="views"></div><p style="height: 3000px"></p>
<script type="module">
import player from "/player.js";
const state = await (await fetch("/state.json")).json();
const bytes = async (name) => new DataView(await (await fetch("/" + name)).arrayBuffer());
for (const name of ["_plan", "_along", "_background"]) state[name] = await bytes(name);
const heard = new Set();
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{
    if (state[name] === value) return;
    state[name] = value;
    for (const callback of [...heard]) callback();
  }},
  save_changes: () => {{ window.saved = (window.saved || 0) + 1; }},
  on: (event, callback) => heard.add(callback),
  off: (event, callback) => heard.delete(callback),
}};
const ask = window.requestAnimationFrame;
window.asked = 0;
window.requestAnimationFrame = (callback) => {{ window.asked += 1; return ask(callback); }};
window.model = model;
window.heard = heard;
window.open_view = () => {{
  const el = document.createElement("div");
  views.append(el);
  return player.render({{ model, el }});
}};
window.close_view = window.open_view();
window.ready = true;
</script>"""


def waist_run(records=200, count=64, every=4):
    """Walkers that a noisy gradient drives out of the narrow middle of a waist, (records, count, 2) as (y, x)."""
    land, g = Waist(g_narrow=16, end_curvature=20.0, noise_scale=3.0), torch.Generator().manual_seed(1)
    theta = torch.stack([torch.zeros(count), 0.1 * torch.randn(count, generator=g)], -1)
    kept = [theta]
    for _ in range(records - 1):
        for _ in range(every):
            theta = theta - 0.04 * land.gradient_on(theta, land.draw(4, g, count))
        kept.append(theta)
    return land, torch.stack(kept).flip(-1)


def realistic(**changes):
    """Return a player over a picture like that of a lesson."""
    land, walkers = waist_run()
    figure = Figure(figsize=(WIDTH / 96, HEIGHT / 96))
    plan, histogram, curve = (
        figure.add_axes(rect)
        for rect in ((0.085, 0.42, 0.9, 0.53), (0.085, 0.115, 0.39, 0.2), (0.595, 0.115, 0.39, 0.2))
    )
    y, x = torch.linspace(*ALONG, 181), torch.linspace(*ACROSS, 91)
    grid = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    loss = (land.loss(grid).reshape(len(x), len(y)) + 0.01).log10()
    plan.contourf(y, x, loss, levels=torch.linspace(-2, 1, 13).tolist(), cmap="cividis_r", extend="both")
    plan.axhline(0, color="black", lw=1, ls=(0, (4, 4)))
    plan.set(xlim=ALONG, ylim=ACROSS, xlabel="along the floor, y (length)", ylabel="across, x (length)")
    histogram.set(xlim=ALONG, ylim=DENSITY, xlabel="along the floor, y (length)", ylabel="density")
    h = land.curvature_across(y)
    curve.plot(y, h, color="#D55E00", lw=2)
    curve.set(xlim=ALONG, ylim=(0, 18), xlabel="along the floor, y (length)", ylabel="curvature h")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=144, metadata={"Software": None})
    drawn = [
        Panel("plan", plan.get_position().bounds, ALONG, ACROSS),
        Panel("histogram", histogram.get_position().bounds, ALONG, DENSITY),
        Panel("curve", curve.get_position().bounds, ALONG, (0, 18), torch.stack([y, h], 1)),
    ]
    sentences = [
        f"Step {4 * record}: half of the walkers are more than {here[:, 0].abs().median():.2f} from the narrow place."
        for record, here in enumerate(walkers)
    ]
    given = {
        "background": file.getvalue(), "panels": drawn, "sentences": sentences, "step": range(0, 800, 4),
        "seconds": 8.0, "title": "A floor at zero loss whose walls tighten in the middle",
    }  # fmt: skip
    return make(walkers, **(given | changes))


class Pages(BaseHTTPRequestHandler):
    def __init__(self, player, *args):
        state = player.get_state()
        data = {f"/{name}": bytes(state.pop(name)) for name in ("_plan", "_along", "_background")}
        self.answers = data | {
            "/": PAGE.format(css=module.STYLE).encode(),
            "/player.js": resources.files("entropic_edu.teaching").joinpath("player.js").read_bytes(),
            "/state.json": json.dumps({k: v for k, v in state.items() if k not in ("_esm", "_css")}).encode(),
        }
        super().__init__(*args)

    def do_GET(self):
        body = self.answers.get(self.path)
        self.send_response(404 if body is None else 200)
        kind = (
            "text/javascript" if self.path.endswith(".js") else "text/html" if self.path == "/" else "application/json"
        )
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


class Serve:
    """A player on a page at a free port of this machine."""

    def __init__(self, player):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, player))
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def site():
    torch.set_num_threads(1)
    with Serve(realistic()) as address:
        yield address


@pytest.fixture
def page(browser, site):
    yield from opened(browser, site)


@pytest.fixture
def calm_page(browser, site):
    yield from opened(browser, site, reduced_motion="reduce")


def opened(browser, address, **settings):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(address)
    page.wait_for_function("window.ready")
    yield page
    context.close()
    assert errors == []


def frame(page, view=0):
    return int(page.locator("canvas").nth(view).get_attribute("data-frame"))


def pixels(page):
    return page.evaluate("document.querySelector('canvas').toDataURL()")


def said(page):
    return page.locator(".ee-sentence").first.inner_text()


def test_nothing_moves_before_play_and_then_it_does(page):
    page.wait_for_timeout(400)
    first = pixels(page)
    page.wait_for_timeout(400)
    assert (frame(page), pixels(page), page.evaluate("window.asked")) == (0, first, 0)
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(600)
    assert frame(page) > 3
    assert pixels(page) != first
    assert page.get_by_role("button", name="Pause").is_visible()


def test_it_plays_at_the_pace_that_was_asked_for(page):
    begun = page.evaluate("performance.now()")
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(2000)
    assert float(page.locator("canvas").get_attribute("data-fps")) > 0
    # 200 records in 8 s: 50 in 2 s; a loaded machine may start late, none runs ahead
    assert 25 <= frame(page) <= 1 + (page.evaluate("performance.now()") - begun) / 40


def test_space_and_k_pause_and_a_pause_stands_still_on_a_record(page):
    page.get_by_role("button", name="Play").focus()
    for key in ("Space", "k"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        page.keyboard.press(key)
        page.wait_for_timeout(100)
        shown, picture = frame(page), pixels(page)
        page.wait_for_timeout(300)
        assert (frame(page), pixels(page)) == (shown, picture)
        assert shown > 0
        assert said(page).startswith(f"Step {4 * shown}:")
        assert page.evaluate("model.get('frame')") == shown


def test_the_slider_scrubs_by_keyboard_and_the_sentence_follows(page):
    slider = page.get_by_role("slider")
    slider.focus()
    for key, want in (
        ("ArrowRight", 1),
        ("ArrowUp", 2),
        ("ArrowLeft", 1),
        ("PageUp", 21),
        ("PageDown", 1),
        ("End", 199),
        ("ArrowRight", 199),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert frame(page) == want, key
        assert said(page).startswith(f"Step {4 * want}:")
        assert page.locator(".ee-player-step").inner_text() == f"step {4 * want} of 796"
        assert slider.get_attribute("aria-valuetext") == f"step {4 * want} of 796"
        assert page.locator("canvas").get_attribute("aria-label").endswith(said(page))
        assert page.evaluate("model.get('frame')") == want


def test_handled_keys_do_not_reach_the_notebook(page):
    page.evaluate("window.leaked = []; document.addEventListener('keydown', (event) => leaked.push(event.key))")
    page.get_by_role("slider").focus()
    for key in ("ArrowRight", "PageUp", "Home", "k", "Space", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("leaked") == ["Escape"]
    assert page.locator(".ee-player").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_at_the_end_it_stops_and_play_starts_again(page):
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("combobox").select_option("4")
    page.get_by_role("button", name="Play").click()
    again = page.get_by_role("button", name="Play again")
    again.wait_for(timeout=3000)
    assert frame(page) == 199
    again.click()
    page.wait_for_timeout(300)
    assert 0 < frame(page) < 150


def test_speed_is_a_multiple(page):
    reached = {}
    for speed in ("0.25", "4"):
        page.get_by_role("slider").focus()
        page.keyboard.press("Home")
        page.get_by_role("combobox").select_option(speed)
        page.get_by_role("button", name="Play").click()
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Pause").click()
        reached[speed] = frame(page)
    # 16 times as fast; the clock of a shared machine is rough
    assert reached["4"] > 6 * reached["0.25"] > 0


def test_reduced_motion_stays_still_and_can_be_stepped(calm_page):
    page = calm_page
    assert page.get_by_role("button", name="Play").is_disabled()
    assert page.get_by_text("asks for reduced motion").is_visible()
    page.get_by_role("slider").focus()
    page.keyboard.press("k")
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    assert (frame(page), page.evaluate("window.asked")) == (0, 0)
    page.keyboard.press("ArrowRight")
    assert frame(page) == 1
    page.emulate_media(reduced_motion="no-preference")
    page.get_by_role("button", name="Play").click(timeout=3000)
    assert page.get_by_text("asks for reduced motion").is_hidden()
    page.wait_for_timeout(200)
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_timeout(200)
    shown = frame(page)
    assert shown > 1
    page.wait_for_timeout(300)
    assert frame(page) == shown
    assert page.get_by_role("button", name="Play").is_disabled()


def test_it_pauses_when_it_leaves_the_window(page):
    page.get_by_role("button", name="Play").click()
    page.evaluate("window.scrollTo(0, 2500)")
    page.wait_for_timeout(400)
    shown = frame(page)
    page.wait_for_timeout(400)
    assert frame(page) == shown


def test_two_views_of_one_player_do_not_fight(page):
    page.evaluate("() => { window.open_view() }")  # playwright would call a function that comes back
    first, second = page.locator(".ee-player button").all()
    first.click()
    page.wait_for_timeout(1200)
    assert first.inner_text() == "Pause"
    assert second.inner_text() == "Play"
    assert frame(page, 1) > 0  # it follows
    second.click()  # who acts last has it
    page.wait_for_timeout(700)
    assert (first.inner_text(), second.inner_text()) == ("Play", "Pause")
    page.evaluate("model.set('frame', 120)")  # and Python may take it from both
    assert (frame(page, 0), frame(page, 1)) == (120, 120)
    assert (first.inner_text(), second.inner_text()) == ("Play", "Play")
    assert page.evaluate("model.get('frame')") == 120


def test_cleaning_up_stops_the_loop_and_listens_no_more(page):
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(300)
    page.evaluate("window.close_view()")
    page.wait_for_timeout(100)
    asked, saved = page.evaluate("[window.asked, window.saved]")
    assert asked > 3
    page.wait_for_timeout(700)
    assert page.evaluate("[window.asked, window.saved]") == [asked, saved]
    assert page.evaluate("heard.size") == 0
    assert page.locator(".ee-player").count() == 0


def test_it_tells_python_rarely_while_it_plays(page):
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(2000)
    assert 2 <= page.evaluate("window.saved") <= 5  # about two a second


def test_dots_and_bars_stand_where_the_data_say(browser):
    # one walker at (0.5, -0.5): no tail, no other ink on a white picture
    walkers = torch.tensor([0.5, -0.5]).expand(2, 1, 2)
    with Serve(make(walkers)) as address:
        for page in opened(browser, address):
            page.wait_for_timeout(300)
            found = blue(base64.b64decode(pixels(page).split(",")[1]))
            top, bottom = found[: int(0.6 * HEIGHT)], found[int(0.7 * HEIGHT) :, : int(0.5 * WIDTH)]
            rows, columns = top.nonzero()
            share_x, share_y = (0.5 - ALONG[0]) / (ALONG[1] - ALONG[0]), (-0.5 - ACROSS[0]) / (ACROSS[1] - ACROSS[0])
            assert columns.mean() == pytest.approx((PLAN[0] + share_x * PLAN[2]) * WIDTH, abs=1)
            assert rows.mean() == pytest.approx((1 - PLAN[1] - share_y * PLAN[3]) * HEIGHT, abs=1)
            rows, columns = bottom.nonzero()  # its bar leaves the panel at the top: density 16 on an axis to 4
            assert np.ptp(rows) == pytest.approx(0.2 * HEIGHT, abs=2)
            assert columns.mean() == pytest.approx((0.1 + share_x * 0.4) * WIDTH, abs=0.4 * WIDTH / 40)


def test_the_background_is_drawn_and_the_mean_stands_on_the_curve(browser):
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (255, 240, 200)).save(file, "png")
    walkers = torch.tensor([[-1.5, 0.0], [0.5, 0.0]]).expand(2, 2, 2)  # mean along: -0.5
    with Serve(make(walkers, background=file.getvalue())) as address:
        for page in opened(browser, address):
            page.wait_for_timeout(300)
            image = np.asarray(Image.open(io.BytesIO(base64.b64decode(pixels(page).split(",")[1]))).convert("RGB"))
            assert image[2, 2].tolist() == [255, 240, 200]
            here = (image == (0, 0x72, 0xB2)).all(-1)[int(0.7 * HEIGHT) :, int(0.55 * WIDTH) :]
            rows, columns = here.nonzero()
            x, y = (-0.5 - ALONG[0]) / (ALONG[1] - ALONG[0]), 0.5**2 / 2.0
            assert columns.mean() + int(0.55 * WIDTH) == pytest.approx((0.6 + 0.35 * x) * WIDTH, abs=1)
            assert rows.mean() + int(0.7 * HEIGHT) == pytest.approx((1 - 0.1 - 0.2 * y) * HEIGHT, abs=1)


def test_each_group_has_its_mean_on_the_curve_a_dot_or_a_ring(browser):
    walkers = torch.tensor([[-0.6, 0.0], [-0.4, 0.0], [0.8, 0.0]]).expand(2, 3, 2)
    with Serve(make(walkers, groups=[(2, True), (1, False)])) as address:
        for page in opened(browser, address):
            page.wait_for_timeout(300)
            image = np.asarray(Image.open(io.BytesIO(base64.b64decode(pixels(page).split(",")[1]))).convert("RGB"))

            def at(x, image=image):
                column = round((0.6 + 0.35 * (x - ALONG[0]) / (ALONG[1] - ALONG[0])) * WIDTH)
                return image[round((1 - 0.1 - 0.2 * x**2 / 2.0) * HEIGHT), column].tolist()

            assert at(-0.5) == [0, 0x72, 0xB2]  # the middle of a dot, between its two walkers
            assert at(0.8) == [255, 255, 255]  # the middle of a ring, on its own dotted line


@pytest.mark.parametrize("kind", ["no walkers", "nothing finite", "one record", "nothing at all", "no picture"])
def test_odd_data_never_throw(browser, kind):
    walkers = {"no walkers": still(5, 0), "nothing finite": still() * float("nan"), "one record": still(1)}.get(
        kind, still()
    )
    player = make(walkers)
    if kind == "nothing at all":
        player.set_state(dict.fromkeys(("_plan", "_along", "_background"), b""))
        player.set_state({name: [] for name in ("_steps", "_sentences", "_panels")})
    if kind == "no picture":
        player.set_state({"_background": b"\x89PNG but no more"})
    with Serve(player) as address:
        for page in opened(browser, address):
            page.get_by_role("slider").focus()
            for key in ("End", "k", "Home", "ArrowRight", "k"):
                page.keyboard.press(key)
                page.wait_for_timeout(60)


@pytest.mark.parametrize(("width", "ratio"), [(1280, 1), (900, 2), (420, 1.5)])
def test_it_shrinks_with_the_page_and_stays_sharp(browser, site, width, ratio):
    for page in opened(browser, site, device_scale_factor=ratio):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        box = page.locator("canvas").bounding_box()
        assert box["width"] == pytest.approx(min(WIDTH, width - 32), abs=16)  # 16 for a scroll bar
        assert box["width"] / box["height"] == pytest.approx(WIDTH / HEIGHT, rel=0.01)
        assert page.evaluate("document.querySelector('canvas').width") == pytest.approx(box["width"] * ratio, abs=2)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for control in page.locator("button, select, input").all():
            assert control.bounding_box()["height"] >= 32
