// The live stage: two panes with a crowd each, the same draws in both, and one thing that differs. All words, numbers and
// choices come from a scene (teaching/stage.py); nothing plays by itself, and nothing asks a kernel or a network.
import { seeded } from "./draws.js";
import { Across, Along, Crowd, groups, histogram, lossAt, meanOf, valley } from "./valleys.js";

const CIVIDIS = [[254, 232, 56], [222, 201, 88], [188, 174, 108], [155, 148, 118], [125, 124, 120], [97, 101, 111],
  [67, 78, 108], [26, 56, 111], [0, 34, 78]]; // matplotlib's, from the floor up
const BLUE = "#0072B2", DOT = 3.2, LEVELS = 12, BARS = 40, FONT = 14; // lengths in CSS pixels
const PACE = 240, MOST = 16; // steps a second, and in one frame
const SPEAK = 500; // ms between two sentences while playing
const TURN = "ee-player-turn"; // as in player.js: one thing on the page moves at a time

// --- state ---------------------------------------------------------------------------------------------------------

/** Crowds and theory of a scene at a choice of its panes; `panes` are two that share the draws of each step. */
class Run {
  constructor(scene, panes, places) {
    Object.assign(this, { scene, places, number: 0 });
    this.sources = [0, 1].map((more) => seeded(scene.seed + more));
    this.kicks = this.sources.map(() => new Float64Array(2 * scene.walkers));
    this.panes = panes.map((pane) => {
      const land = valley(pane.valley, pane.walls), crowd = new Crowd(land, scene.walkers);
      const theory = scene.view === "bowl" ? new Across(land) : new Along(land);
      crowd.release(places);
      theory.release(places);
      return { ...pane, land, crowd, theory };
    });
  }

  /** The setting of a pane: what the sliders say, and what the pane holds fixed or takes from another slider. */
  setting(pane, turned) {
    const own = Object.entries(pane.set).map(([name, held]) => [name, typeof held === "string" ? turned[held] : held]);
    return { momentum: 0, ...turned, ...Object.fromEntries(own) };
  }

  advance(turned, steps) {
    for (let i = 0; i < steps; i++) {
      const used = new Set(this.panes.map((pane) => pane.draws));
      for (const each of used) {
        const kicks = this.kicks[each], source = this.sources[each];
        for (let k = 0; k < kicks.length; k++) kicks[k] = source.normal();
      }
      for (const pane of this.panes) pane.crowd.step(this.setting(pane, turned), this.kicks[pane.draws]);
    }
    for (const pane of this.panes) pane.theory.advance(this.setting(pane, turned), steps);
    this.number += steps;
  }

  /** Where walkers stand on the axis of the histogram. */
  values(pane) {
    return this.scene.view === "bowl" ? pane.crowd.x : pane.crowd.along;
  }

  /** What the sentence tells of a pane: a measured number with its standard error, and theory's. */
  measured(pane) {
    const { kind, between } = this.scene.measure, values = this.values(pane);
    const inside = (y) => +(between[0] < y && y < between[1]);
    if (kind === "share") return { ...meanOf(Float64Array.from(values, inside)), law: pane.theory.share(...between) };
    if (kind === "square") return { ...meanOf(values.map((x) => x * x)), law: pane.theory.xx };
    if (kind === "away") return { ...meanOf(values.map(Math.abs)), law: pane.theory.mean(Math.abs) };
    return { ...meanOf(values), law: pane.theory.mean((y) => y) };
  }
}

/** Words of a template with its {names} filled in. */
function filled(words, values) {
  return words.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

const signed = (value, digits) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

// --- drawing: lengths in CSS pixels --------------------------------------------------------------------------------

/** Where a pane's plan and histogram stand, and the scales from data to pixels. */
function layout(scene, width) {
  const side = 8, between = (low, value, high) => Math.round(Math.max(low, Math.min(high, value)));
  const tall = between(112, 0.4 * width, 190), bars = between(56, 0.18 * width, 80);
  const box = (top, height, [x0, x1], [y0, y1]) => ({
    left: side, top, width: width - 2 * side, height,
    px: (x) => side + ((x - x0) / (x1 - x0)) * (width - 2 * side), py: (y) => top + ((y1 - y) / (y1 - y0)) * height,
    x: [x0, x1], y: [y0, y1],
  });
  const plan = box(0, tall, scene.plan.x, scene.plan.y), chart = box(tall + 30, bars, scene.axis, [0, 1]);
  return { plan, chart, width, height: tall + 30 + bars + 42 };
}

/** The loss as a field in bands, yellow on the floor; levels of its root are even at even distances from a parabola. */
function field(land, plan, scale) {
  const canvas = document.createElement("canvas"), [wide, high] = [plan.width, plan.height].map((size) => Math.round(size * scale));
  Object.assign(canvas, { width: wide, height: high });
  const image = canvas.getContext("2d").createImageData(wide, high), roots = new Float32Array(wide * high);
  const at = (share, [low, top]) => low + share * (top - low);
  let lowest = Infinity;
  for (let i = 0; i < wide; i++) lowest = Math.min(lowest, land.bent ? 0 : land.floor(at(i / wide, plan.x)));
  for (let j = 0, n = 0; j < high; j++) {
    for (let i = 0; i < wide; i++, n++) {
      const right = at(i / wide, plan.x), up = at(1 - j / high, plan.y);
      roots[n] = Math.sqrt(Math.max(0, (land.bent ? lossAt(land, right, up) : lossAt(land, up, right)) - lowest));
    }
  }
  const some = roots.filter((_, n) => n % 7 === 0).sort(), top = land.bent ? 2 : some[Math.floor(0.97 * some.length) - 1];
  roots.forEach((root, n) => {
    const level = Math.min(LEVELS - 1, Math.floor((LEVELS * root) / top)) / (LEVELS - 1) * (CIVIDIS.length - 1);
    const [from, to] = [CIVIDIS[Math.floor(level)], CIVIDIS[Math.ceil(level)]];
    for (let k = 0; k < 3; k++) image.data[4 * n + k] = from[k] + (level % 1) * (to[k] - from[k]);
    image.data[4 * n + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function path(ctx, points, style) {
  Object.assign(ctx, { lineWidth: 2, lineJoin: "round", ...style });
  ctx.setLineDash(style.dash || []);
  ctx.beginPath();
  points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  ctx.stroke();
  ctx.setLineDash([]);
}

function diamond(ctx, x, y, ink) {
  ctx.beginPath();
  for (const [dx, dy] of [[0, -8], [7, 0], [0, 8], [-7, 0]]) ctx.lineTo(x + dx, y + dy);
  ctx.closePath();
  Object.assign(ctx, { fillStyle: "#fff", strokeStyle: ink, lineWidth: 2.5 }).fill();
  ctx.stroke();
}

function drawPlan(ctx, run, pane, plan, look) {
  const { scene } = run, { crowd, land } = pane;
  ctx.save();
  ctx.beginPath();
  ctx.rect(plan.left, plan.top, plan.width, plan.height);
  ctx.clip();
  if (pane.field) ctx.drawImage(pane.field, plan.left, plan.top, plan.width, plan.height);
  const even = Array.from({ length: 81 }, (_, i) => i / 80), dark = "#1a1a1a";
  const thin = { strokeStyle: dark, lineWidth: 1, dash: [4, 4] };
  if (scene.view === "bowl") {
    const wall = even.map((share) => plan.x[0] + share * (plan.x[1] - plan.x[0]));
    path(ctx, wall.map((x) => [plan.px(x), plan.py(lossAt(land, x, 0))]), { strokeStyle: look.ink });
  } else if (scene.view === "plane") {
    const floor = even.map((share) => 3 * share - 1.5); // ln u
    path(ctx, floor.map((y) => [plan.px(Math.exp(y)), plan.py(Math.exp(-y))]), thin);
  } else {
    path(ctx, [[plan.left, plan.py(0)], [plan.left + plan.width, plan.py(0)]], thin);
  }
  for (const limit of scene.measure.between || []) {
    const x = plan.px(limit);
    path(ctx, [[x, plan.top], [x, plan.top + plan.height]], { strokeStyle: dark, lineWidth: 1.5, dash: [2, 3] });
  }
  const half = look.dot.width / look.scale / 2;
  const seen = { // right and up
    floor: (i) => [crowd.y[i], crowd.x[i]], plane: (i) => [crowd.x[i], crowd.y[i]],
    bowl: (i) => [crowd.x[i], lossAt(land, crowd.x[i], crowd.y[i])],
  }[scene.view];
  for (let i = 0; i < crowd.count; i++) {
    const [right, up] = seen(i), x = plan.px(right), y = plan.py(up);
    if (Number.isFinite(x + y)) ctx.drawImage(look.dot, x - half, y - half, 2 * half, 2 * half);
  }
  const means = scene.view === "floor" ? groups(crowd.along, scene.split) : [];
  for (const { count, mean } of means) if (count) diamond(ctx, plan.px(mean), plan.py(0), dark);
  ctx.restore();
}

function drawChart(ctx, run, pane, chart, look) {
  const { scene } = run, values = run.values(pane), bars = histogram(values, scene.axis, BARS);
  const floor = chart.top + chart.height;
  const high = (density) => floor - (density / pane.top) * chart.height;
  ctx.fillStyle = look.bar;
  bars.forEach((density, i) => {
    const left = chart.left + (i / BARS) * chart.width;
    if (density) ctx.fillRect(left + 0.5, high(density), chart.width / BARS - 1, floor - high(density));
  });
  ctx.save();
  ctx.beginPath();
  ctx.rect(chart.left, chart.top - 2, chart.width, chart.height + 4);
  ctx.clip();
  const law = lawOf(run, pane);
  if (law) path(ctx, law.map(([x, y]) => [chart.px(x), high(y)]), { strokeStyle: look.law, dash: [7, 4] });
  const marks = law || scene.view === "bowl" ? [] : pane.theory.groups(scene.split).filter((y) => y !== null);
  for (const y of marks) path(ctx, [[chart.px(y), chart.top], [chart.px(y), floor]], { strokeStyle: look.law, dash: [7, 4] });
  ctx.restore();
  path(ctx, [[chart.left, floor + 0.5], [chart.left + chart.width, floor + 0.5]], { strokeStyle: look.ink, lineWidth: 1 });
  Object.assign(ctx, { fillStyle: look.ink, font: look.font, textAlign: "center", textBaseline: "top" });
  for (const tick of scene.ticks) {
    ctx.fillText(signed(tick, Number.isInteger(tick) ? 0 : 1), chart.px(tick), floor + 5);
    path(ctx, [[chart.px(tick), floor], [chart.px(tick), floor + 4]], { strokeStyle: look.ink, lineWidth: 1 });
  }
  ctx.fillText(scene.words.axis, chart.left + chart.width / 2, floor + 22);
  if (scene.view === "bowl") return;
  ctx.textBaseline = "bottom";
  for (const { count, mean } of groups(values, scene.split)) {
    if (!count) continue;
    const x = Math.max(chart.left + 24, Math.min(chart.left + chart.width - 24, chart.px(mean)));
    ctx.fillText(`◆ ${signed(mean, 2)}`, x, chart.top - 6);
  }
}

/** Theory's density as points, or null where it has no spread. */
function lawOf(run, pane) {
  if (run.scene.view !== "bowl") return pane.theory.curve;
  const { xx } = pane.theory, [low, high] = run.scene.axis;
  if (!(xx > 1e-9)) return null;
  return Array.from({ length: 121 }, (_, i) => low + ((high - low) * i) / 120)
    .map((x) => [x, Math.exp((-0.5 * x * x) / xx) / Math.sqrt(2 * Math.PI * xx)]);
}

// --- the view ------------------------------------------------------------------------------------------------------

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
  const { words } = scene, reduced = window.matchMedia("(prefers-reduced-motion: reduce)");
  const root = make("div", el, { className: "ee-stage", role: "group", ariaLabel: scene.title });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's shortcuts else take arrows and k before this sees them
  const bar = make("div", root, { className: "ee-stage-controls" });
  const buttons = make("div", bar, { className: "ee-stage-buttons" }), button = { type: "button" };
  const [play, step, reset] = [words.play, words.step, words.reset].map((textContent) => make("button", buttons, { ...button, textContent }));
  const knobs = controls(scene, bar, onChange);
  const place = make("div", root, { className: "ee-stage-panes" });
  const figures = [0, 1].map(() => {
    const figure = make("figure", place), caption = make("figcaption", figure), canvas = make("canvas", figure);
    canvas.setAttribute("role", "img");
    return { caption, canvas, ctx: canvas.getContext("2d") };
  });
  const sentence = make("p", root, { className: "ee-sentence" });
  make("p", root, { className: "ee-stage-key", textContent: words.key });
  const news = make("p", root, { className: "ee-stage-news", textContent: told, hidden: !told });

  let run, request = 0, before = 0, owed = 0, spoken = 0, ticks = [], look = {}, shape = null, dropped = null, fresh = false;

  const turned = () => Object.fromEntries(scene.sliders.map(({ name }) => [name, knobs.get(name).value()]));

  function release(warm) {
    const { panes } = knobs.get("compare").value();
    run = new Run(scene, panes, dropped ?? knobs.get("start").value().places);
    if (warm) for (let done = 0; done < scene.warm; done += 4) run.advance(turned(), 4);
    const taken = panes.flatMap((pane) => Object.values(pane.set));
    for (const { name } of scene.sliders) if (name.startsWith("other")) knobs.get(name).line.hidden = !taken.includes(name);
    [owed, fresh] = [0, warm];
    figures.forEach(({ caption }, i) => { caption.textContent = panes[i].label; });
    if (shape) paint();
  }

  function paint() { // what stays as it is from step to step
    for (const pane of run.panes) pane.field = scene.view === "bowl" ? null : field(pane.land, shape.plan, look.scale);
  }

  function dress() { // colours of the page: light words mean a dark page
    const { color, fontFamily } = getComputedStyle(root), [r, g, b] = (color.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
    const dark = 0.3 * r + 0.59 * g + 0.11 * b > 140, scale = Math.min(3, window.devicePixelRatio || 1);
    if (look.color === color && look.scale === scale) return;
    root.classList.toggle("ee-stage-dark", dark);
    const dot = document.createElement("canvas"), size = 2 * (DOT + 1), pen = dot.getContext("2d");
    dot.width = dot.height = Math.ceil(size * scale);
    pen.scale(dot.width / size, dot.width / size);
    pen.arc(size / 2, size / 2, DOT, 0, 2 * Math.PI);
    Object.assign(pen, { fillStyle: scene.view === "bowl" && dark ? "#56B4E9" : BLUE, globalAlpha: 0.85 }).fill();
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 1, globalAlpha: 1 }).stroke();
    look = { color, scale, dot, ink: color, font: `${FONT}px ${fontFamily}`,
      bar: dark ? "#56B4E9" : BLUE, law: dark ? "#F5B8DA" : "#A0307A" };
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
    if (!shape) return;
    for (const pane of run.panes) { // the scale of the bars shrinks slowly, and never cuts one
      const law = lawOf(run, pane), bars = histogram(run.values(pane), scene.axis, BARS);
      pane.top = Math.max(1.05 * Math.max(...bars, ...(law || []).map(([, density]) => density)), 0.96 * (pane.top || 0));
    }
    figures.forEach(({ ctx }, i) => {
      ctx.setTransform(look.scale, 0, 0, look.scale, 0, 0);
      ctx.clearRect(0, 0, shape.width, shape.height);
      drawPlan(ctx, run, run.panes[i], shape.plan, look);
      drawChart(ctx, run, run.panes[i], shape.chart, look);
    });
  }

  /** The sentence: all numbers of the picture in words. */
  function said() {
    const { digits, scale } = scene.measure, now = turned(), values = { step: run.number.toLocaleString("en") };
    for (const { name } of scene.sliders) values[name] = knobs.get(name).shown();
    run.panes.forEach((pane, i) => {
      const { count, mean, error, law } = run.measured(pane), one = "ab"[i];
      const [shown, apart, theory] = [mean, error, law].map((value) => signed(scale * value, digits));
      const noisy = run.setting(pane, now).batch_size !== null || error > 1e-9; // walkers without noise are one walker
      const gone = count < scene.walkers ? ` (${words.gone.replace("{gone}", scene.walkers - count)})` : "";
      Object.assign(values, { [`${one}_value`]: (noisy ? `${shown} ± ${apart}` : shown) + gone, [`${one}_law`]: theory });
    });
    return [filled(words.sentence, values), scene.bet].filter(Boolean).join(" ");
  }

  function speak() {
    const now = said();
    if (sentence.textContent !== now) sentence.textContent = now;
    for (const { canvas, caption } of figures) {
      canvas.setAttribute("aria-label", `${scene.title}: ${caption.textContent}. ${now}`);
    }
  }

  function show() {
    dress();
    draw();
    sentence.setAttribute("aria-live", request ? "off" : "polite"); // while it moves, words would never end
    speak();
    play.textContent = reduced.matches ? words.jump : request ? words.pause : words.play;
    step.disabled = reset.disabled = false;
  }

  function tick(moment) {
    request = requestAnimationFrame(tick);
    owed += (Math.max(0, Math.min(100, moment - before)) / 1000) * PACE;
    before = moment;
    const steps = Math.min(MOST, Math.floor(owed));
    owed = Math.min(1, owed - steps);
    if (steps) run.advance(turned(), steps);
    ticks.push(moment);
    while (ticks[0] < moment - 1000) ticks.shift();
    root.dataset.fps = ((1000 * (ticks.length - 1)) / Math.max(1, moment - ticks[0])).toFixed(1);
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
    run.advance(turned(), steps);
    show();
  }

  function onChange(name) {
    if (name === "start") dropped = null;
    if (name === "compare" || name === "start") release(!request);
    else if (reduced.matches) jump(4);
    else start();
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
    if (fresh) release(false); // what was shown is where it ends; now the way there
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
