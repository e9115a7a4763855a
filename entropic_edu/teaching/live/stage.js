// The live stage: two panes with a crowd each, the same draws in both, and one thing that differs. All words, numbers and
// choices come from a scene (teaching/stage.py); nothing plays by itself, and nothing asks a kernel or a network.
import { Run, described, said } from "./run.js";
import { drawPanes, dressed, field, layout } from "./stage_draw.js";

const PACE = 240, MOST = 16; // steps a second, and in one frame
const SPEAK = 500; // ms between two sentences while playing
const TURN = "ee-player-turn"; // as in player.js: one thing on the page moves at a time

function make(tag, parent, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

/** Sliders and choices of a scene: their elements, and what they say. */
function controls(scene, parent, changed) {
  const knobs = new Map();
  for (const { name, label, options, shown, start } of scene.sliders) {
    const line = make("label", parent, { className: "ee-stage-slider" });
    make("span", line, { textContent: label });
    const input = make("input", line, { type: "range", min: 0, max: options.length - 1, step: 1, value: start });
    const output = make("output", line);
    const say = () => { output.textContent = shown[input.value]; input.setAttribute("aria-valuetext", shown[input.value]); };
    input.dataset.name = name;
    input.addEventListener("input", () => { say(); changed(name); });
    say();
    knobs.set(name, { line, value: () => options[input.value], shown: () => shown[input.value] });
  }
  for (const { name, label, options, start } of scene.choices) {
    const line = make("label", parent, { className: "ee-stage-choice" });
    make("span", line, { textContent: label });
    const select = make("select", line);
    options.forEach((option, i) => make("option", select, { value: i, textContent: option.label, selected: i === start }));
    select.dataset.name = name;
    select.addEventListener("change", () => changed(name));
    line.hidden = options.length < 2;
    knobs.set(name, { line, value: () => options[select.value] });
  }
  return knobs;
}

/** Put a scene on the page inside `el`; returns what takes it off again. */
export function stage(el, scene, told = "") {
  const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");
  const root = make("div", el, { className: "ee-stage", role: "group", ariaLabel: scene.title });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's shortcuts else take arrows and k before this sees them
  const bar = make("div", root, { className: "ee-stage-controls" });
  const buttons = make("div", bar, { className: "ee-stage-buttons" }), button = { type: "button" };
  const [play, step, reset] = [scene.words.play, scene.words.step, scene.words.reset].map((textContent) => make("button", buttons, { ...button, textContent }));
  const knobs = controls(scene, bar, onChange);
  const place = make("div", root, { className: "ee-stage-panes" });
  const figures = [0, 1].map(() => {
    const figure = make("figure", place), caption = make("figcaption", figure), canvas = make("canvas", figure);
    canvas.setAttribute("role", "img");
    return { caption, canvas, ctx: canvas.getContext("2d") };
  });
  const sentence = make("p", root, { className: "ee-sentence" });
  make("p", root, { className: "ee-stage-key", textContent: scene.words.key });
  const details = make("details", root, { className: "ee-stage-words" });
  make("summary", details, { textContent: scene.words.words });
  const words = [0, 1].map(() => make("p", details));
  const news = make("p", root, { className: "ee-stage-news", textContent: told, hidden: !told });

  let run, request = 0, before = 0, owed = 0, spoken = 0, ticks = [], look = {}, shape = null, dropped = null, fresh = false;

  const turned = () => Object.assign({}, ...scene.sliders.map(({ name }) => knobs.get(name).value()));
  const left = (steps) => (run.number < scene.stop ? Math.min(steps, scene.stop - run.number) : steps);

  function release(warm) {
    const { panes } = knobs.get("compare").value();
    run = new Run(scene, panes, dropped ?? knobs.get("start").value().places);
    if (warm) while (run.number < scene.warm) run.advance(turned(), Math.min(4, scene.warm - run.number));
    const taken = panes.flatMap((pane) => Object.values(pane.set));
    for (const { name } of scene.sliders) if (name.startsWith("other")) knobs.get(name).line.hidden = !taken.includes(name);
    [owed, fresh] = [0, warm];
    figures.forEach(({ caption }, i) => { caption.textContent = panes[i].label; });
    if (shape) paint();
  }

  function paint() { // what stays as it is from step to step
    for (const pane of run.panes) pane.field = scene.view === "bowl" ? null : field(pane.land, shape.plan, look.scale);
  }

  function dress() {
    const { color, fontFamily } = getComputedStyle(root);
    if (look.color === color && look.scale === Math.min(3, window.devicePixelRatio || 1)) return;
    look = dressed(scene, color, fontFamily);
    root.classList.toggle("ee-stage-dark", look.dark);
  }

  function fit() {
    const { clientWidth: width } = figures[0].canvas;
    if (!width) return; // not on the page yet
    dress();
    shape = layout(scene, width);
    for (const { canvas } of figures) {
      canvas.style.height = `${shape.height}px`;
      [canvas.width, canvas.height] = [Math.round(width * look.scale), Math.round(shape.height * look.scale)];
    }
    paint();
    draw();
  }

  function draw() {
    root.dataset.step = run.number;
    if (shape) drawPanes(figures, run, shape, look);
  }

  function speak() {
    const shown = Object.fromEntries(scene.sliders.map(({ name }) => [name, knobs.get(name).shown()]));
    const now = [said(run, turned(), shown), scene.bet].filter(Boolean).join(" ");
    if (sentence.textContent !== now) sentence.textContent = now;
    figures.forEach(({ canvas, caption }, i) => {
      const crowd = `${caption.textContent}: ${described(run, run.panes[i])}`;
      canvas.setAttribute("aria-label", `${scene.title}. ${caption.textContent}. ${now}`);
      if (words[i].textContent !== crowd) words[i].textContent = crowd;
    });
  }

  function show() {
    dress();
    draw();
    sentence.setAttribute("aria-live", request ? "off" : "polite"); // while it moves, words would never end
    speak();
    play.textContent = reduced.matches ? scene.words.jump : request ? scene.words.pause : scene.words.play;
    step.disabled = reset.disabled = false;
  }

  function tick(moment) {
    request = requestAnimationFrame(tick);
    owed += (Math.max(0, Math.min(100, moment - before)) / 1000) * PACE;
    before = moment;
    const whole = Math.min(MOST, Math.floor(owed)), steps = left(whole);
    owed = Math.min(1, owed - whole);
    if (steps) run.advance(turned(), steps);
    ticks.push(moment);
    while (ticks[0] < moment - 1000) ticks.shift();
    root.dataset.fps = ((1000 * (ticks.length - 1)) / Math.max(1, moment - ticks[0])).toFixed(1);
    if (steps && run.number === scene.stop) return pause();
    draw();
    if (moment - spoken < SPEAK) return;
    spoken = moment;
    dress();
    speak();
  }

  function start() {
    if (request || reduced.matches) return;
    fresh = false;
    document.dispatchEvent(new Event(TURN));
    [before, spoken, ticks] = [Infinity, performance.now(), []]; // the clock starts with the first frame
    request = requestAnimationFrame(tick);
    show();
  }

  function pause() {
    if (!request) return;
    cancelAnimationFrame(request);
    request = 0;
    show();
  }

  function jump(steps) {
    pause();
    fresh = false;
    run.advance(turned(), left(steps));
    show();
  }

  function onChange(name) {
    if (name === "start") dropped = null;
    if (name === "compare" || name === "start") release(!request);
    else {
      if (scene.stop) release(false); // so that what is told at the end is of one setting
      if (reduced.matches) jump(scene.stop ?? 4);
      else start();
    }
    show();
  }

  function onDrop(event, { canvas }) { // a click on a floor puts both crowds there
    if (scene.view !== "floor" || !shape || event.offsetY > shape.plan.height) return;
    const { px, x } = shape.plan, share = (event.offsetX - px(x[0])) / (px(x[1]) - px(x[0]));
    dropped = [Math.max(x[0], Math.min(x[1], x[0] + share * (x[1] - x[0])))];
    release(false);
    if (reduced.matches) show();
    else start();
  }

  const closing = new AbortController(), { signal } = closing; // takes all listeners off at once
  const on = (target, event, callback) => target.addEventListener(event, callback, { signal });
  on(play, "click", () => {
    if (fresh || run.number === scene.stop) release(false); // what was shown is where it ends; now the way there
    if (reduced.matches) jump(100);
    else if (request) pause();
    else start();
  });
  on(step, "click", () => jump(1));
  on(reset, "click", () => { release(false); show(); });
  on(root, "keydown", (event) => event.stopPropagation()); // a notebook else takes them for its own
  for (const figure of figures) on(figure.canvas, "pointerdown", (event) => onDrop(event, figure));
  on(document, "visibilitychange", () => document.hidden && pause());
  on(document, TURN, pause);
  on(window, "resize", fit); // a zoom changes the pixel ratio and may leave the size alone
  on(reduced, "change", () => { pause(); show(); });
  on(window.matchMedia("(prefers-color-scheme: dark)"), "change", () => requestAnimationFrame(show));
  const themed = new MutationObserver(show), seen = new IntersectionObserver((all) => all.at(-1).isIntersecting || pause());
  for (const each of [document.documentElement, document.body]) themed.observe(each, { attributes: true });
  const sized = new ResizeObserver(fit);
  seen.observe(root);
  sized.observe(place);
  release(true);
  fit();
  show();

  return {
    tell: (words) => Object.assign(news, { textContent: words, hidden: !words }),
    close() {
      closing.abort();
      cancelAnimationFrame(request);
      for (const each of [themed, seen, sized]) each.disconnect();
      root.remove();
    },
  };
}
