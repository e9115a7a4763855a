// The walker player: one crowd on a canvas, over a picture that holds axes, fields and labels.
// A plain ES module without imports. All data and all words come from the model (player.py); nothing plays by itself.

const BLUE = "#0072B2", INK = "#1a1a1a"; // Okabe-Ito's blue is the crowd, in all panels
const DOT = 3.2, SMALLEST = 2.2, TAIL = 0.35; // radius at full size and at any, CSS pixels; seconds that a tail shows
const BARS = 40;
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const SPEAK = 500; // ms between two sentences while playing
const TURN = "ee-player-turn";

// --- data ------------------------------------------------------------------------------------------------------

function bytes(view) { // copied, since a view into a message need not start at a multiple of four bytes
  return view ? new Uint8Array(view.buffer || view, view.byteOffset || 0, view.byteLength).slice() : new Uint8Array(0);
}

/** Values of all walkers at a time in units of records, on straight lines between two records. */
function at(data, perRecord, time) {
  const left = Math.floor(time) * perRecord, share = time % 1, values = data.slice(left, left + perRecord);
  if (share) values.forEach((from, i) => { values[i] = from + share * (data[left + perRecord + i] - from); });
  return values;
}

/** Height of a curve of points [x, y] in order of x, or NaN beside it. */
function height(curve, x) {
  for (let i = 1; i < curve.length; i++) {
    const [x0, y0] = curve[i - 1], [x1, y1] = curve[i];
    if (x0 <= x && x <= x1) return x1 > x0 ? y0 + ((x - x0) / (x1 - x0)) * (y1 - y0) : y0;
  }
  return NaN;
}

// --- drawing: all lengths in CSS pixels of the picture at full size ----------------------------------------------

/** A panel's place on a picture of width by height, and its scales from data to pixels. */
function place(panel, width, picture) {
  const [left, bottom, wide, high] = panel.rect;
  const box = [left * width, (1 - bottom - high) * picture, wide * width, high * picture];
  return {
    ...panel, box,
    px: (x) => box[0] + ((x - panel.x[0]) / (panel.x[1] - panel.x[0])) * box[2],
    py: (y) => box[1] + ((panel.y[1] - y) / (panel.y[1] - panel.y[0])) * box[3],
  };
}

function drawDot(ctx, x, y, radius, alpha) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  Object.assign(ctx, { fillStyle: BLUE, globalAlpha: alpha }).fill();
  Object.assign(ctx, { strokeStyle: "#fff", lineWidth: 1, globalAlpha: 1 }).stroke();
}

function drawRing(ctx, x, y) {
  ctx.beginPath();
  ctx.arc(x, y, 5, 0, 2 * Math.PI);
  Object.assign(ctx, { fillStyle: "#fff", strokeStyle: INK, lineWidth: 2, globalAlpha: 1 }).fill();
  ctx.stroke();
}

function drawPlan(ctx, panel, trail, dot) {
  const points = trail[0];
  Object.assign(ctx, { strokeStyle: BLUE, lineWidth: 1.4, lineCap: "round" });
  for (let age = trail.length - 1; age > 0; age--) { // one path for all walkers: as cheap as one line
    const [older, newer] = [trail[age], trail[age - 1]];
    ctx.globalAlpha = 0.4 * (1 - age / trail.length);
    ctx.beginPath();
    for (let i = 0; i < points.length; i += 2) {
      if (!Number.isFinite(older[i] + older[i + 1] + newer[i] + newer[i + 1])) continue;
      ctx.moveTo(panel.px(older[i]), panel.py(older[i + 1]));
      ctx.lineTo(panel.px(newer[i]), panel.py(newer[i + 1]));
    }
    ctx.stroke();
  }
  for (let i = 0; i < points.length; i += 2) { // a walker that diverged is nowhere
    const x = panel.px(points[i]), y = panel.py(points[i + 1]);
    if (Number.isFinite(x + y)) drawDot(ctx, x, y, dot, 0.8);
  }
}

function drawHistogram(ctx, panel, along) {
  const [low, high] = panel.x, bin = (high - low) / BARS, counts = new Array(BARS).fill(0);
  let all = 0;
  for (const value of along) {
    if (!Number.isFinite(value)) continue;
    all += 1; // those beside the panel count too: bars are shares of the whole crowd
    if (value >= low && value <= high) counts[Math.min(BARS - 1, Math.floor((value - low) / bin))] += 1;
  }
  Object.assign(ctx, { fillStyle: BLUE, globalAlpha: 0.8 });
  counts.forEach((count, i) => {
    if (!count) return;
    const left = panel.px(low + i * bin), right = panel.px(low + (i + 1) * bin);
    const top = panel.py(count / all / bin);
    ctx.fillRect(left + 0.5, top, right - left - 1, panel.py(0) - top);
  });
}

function drawCurve(ctx, panel, along, groups) {
  let from = 0;
  for (const [size, filled] of groups) {
    drawMean(ctx, panel, along.slice(from, from + size), filled);
    from += size;
  }
}

/** The mean of a group on a curve: a filled dot with the middle 68 % of its walkers, or a ring. */
function drawMean(ctx, panel, along, filled) {
  const sorted = Float32Array.from(along).filter(Number.isFinite).sort(), n = sorted.length;
  if (!n) return;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / n;
  const quantile = (share) => at(sorted, 1, share * (n - 1))[0];
  const [, top, , tall] = panel.box, left = panel.px(quantile(0.16)), x = panel.px(mean), y = height(panel.curve, mean);
  if (filled) {
    Object.assign(ctx, { fillStyle: BLUE, globalAlpha: 0.18 });
    ctx.fillRect(left, top, panel.px(quantile(0.84)) - left, tall);
  }
  Object.assign(ctx, { strokeStyle: INK, lineWidth: 1.5, globalAlpha: 1 });
  ctx.setLineDash(filled ? [5, 4] : [1, 4]);
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + tall);
  ctx.stroke();
  ctx.setLineDash([]);
  if (!Number.isFinite(y)) return;
  if (filled) drawDot(ctx, x, panel.py(y), 6, 1);
  else drawRing(ctx, x, panel.py(y));
}

// --- the view --------------------------------------------------------------------------------------------------

function make(tag, parent, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

function render({ model, el }) {
  const words = model.get("_words"), steps = model.get("_steps"), sentences = model.get("_sentences");
  const [width, picture] = model.get("_size"), title = model.get("title"), seconds = model.get("_seconds");
  const [plan, along] = ["_plan", "_along"].map((name) => new Float32Array(bytes(model.get(name)).buffer));
  const panels = model.get("_panels").map((panel) => place(panel, width, picture));
  const groups = model.get("_groups");
  const last = Math.max(0, steps.length - 1), walkers = steps.length ? along.length / steps.length : 0;
  const pace = last / seconds, tail = Math.min(8, TAIL * pace); // records a second at speed 1, and in a tail
  const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");

  const root = make("div", el, { className: "ee-player", role: "group", ariaLabel: title });
  root.style.maxWidth = `${width}px`;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's shortcuts else take arrows and k before this sees them
  const canvas = make("canvas", root);
  canvas.setAttribute("role", "img");
  canvas.style.aspectRatio = `${width} / ${picture}`;
  const controls = make("div", root, { className: "ee-player-controls" });
  const button = make("button", controls, { type: "button" });
  const slider = make("input", controls, { type: "range", min: 0, max: last, step: 1, ariaLabel: words.scrub });
  const counter = make("span", controls, { className: "ee-player-step" });
  const label = make("label", controls, { textContent: words.speed });
  const speed = make("select", label);
  for (const value of SPEEDS) make("option", speed, { value, textContent: `${value}×`, selected: value === 1 });
  const note = make("p", root, { className: "ee-player-still", textContent: words.still });
  const sentence = make("p", root, { className: "ee-sentence" });
  sentence.setAttribute("aria-live", "polite");
  make("p", root, { className: "ee-player-key", textContent: words.key });

  const ctx = canvas.getContext("2d"), backdrop = document.createElement("canvas");
  let time = Math.min(last, model.get("frame")), request = 0, before = 0, spoken = 0, ticks = [];
  let scale = 0, dot = DOT, bitmap = null, own = false;
  const frame = () => Math.round(time);

  function draw() {
    canvas.dataset.frame = frame();
    if (!scale) return; // not on the page yet
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    if (bitmap) ctx.drawImage(backdrop, 0, 0);
    ctx.scale(scale, scale);
    if (!walkers) return;
    const trail = past(), here = at(along, walkers, time);
    for (const panel of panels) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(...panel.box);
      ctx.clip();
      if (panel.kind === "plan") drawPlan(ctx, panel, trail, dot);
      if (panel.kind === "histogram") drawHistogram(ctx, panel, here);
      if (panel.kind === "curve") drawCurve(ctx, panel, here, groups);
      ctx.restore();
    }
  }

  /** Where the walkers were: now, at the records just passed, and where the tail ends. */
  function past() {
    const end = Math.max(0, time - tail), times = [time];
    for (let record = Math.ceil(time) - 1; record > end; record--) times.push(record);
    return [...times, end].map((moment) => at(plan, 2 * walkers, moment));
  }

  function fit() { // the backdrop is scaled once here, not in every frame
    scale = (canvas.clientWidth / width) * (window.devicePixelRatio || 1);
    dot = Math.max(DOT, (SMALLEST * width) / Math.max(1, canvas.clientWidth));
    canvas.width = backdrop.width = Math.max(1, Math.round(width * scale));
    canvas.height = backdrop.height = Math.max(1, Math.round(picture * scale));
    if (bitmap) {
      const pen = backdrop.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(bitmap, 0, 0, backdrop.width, backdrop.height);
    }
    draw();
  }

  function count() {
    const left = Math.floor(time), right = Math.min(last, left + 1);
    const step = steps.length ? Math.round(steps[left] + (time - left) * (steps[right] - steps[left])) : 0;
    const shown = words.step.replace("{step}", step.toLocaleString("en"));
    if (counter.textContent !== shown) counter.textContent = shown;
    slider.value = frame();
  }

  /** Say what is shown: on the page, to a screen reader and to Python. */
  function speak() {
    const said = sentences[frame()] || "";
    if (sentence.textContent !== said) sentence.textContent = said;
    canvas.setAttribute("aria-label", [title, said].filter(Boolean).join(". "));
    slider.setAttribute("aria-valuetext", counter.textContent);
    if (model.get("frame") === frame()) return;
    own = true; // a change that this view makes is no order to this view
    model.set("frame", frame());
    own = false;
    model.save_changes();
  }

  function show() {
    draw();
    count();
    speak();
    button.textContent = request ? words.pause : last && time >= last ? words.again : words.play;
    button.disabled = reduced.matches || !last;
    note.hidden = !reduced.matches;
  }

  function tick(moment) {
    request = requestAnimationFrame(tick);
    time = Math.min(last, time + (Math.max(0, Math.min(250, moment - before)) / 1000) * pace * Number(speed.value));
    before = moment;
    ticks.push(moment);
    while (ticks[0] < moment - 1000) ticks.shift();
    if (ticks.length > 1) canvas.dataset.fps = ((1000 * (ticks.length - 1)) / (moment - ticks[0])).toFixed(1);
    if (time >= last) return pause();
    draw();
    count();
    if (moment - spoken < SPEAK) return;
    spoken = moment;
    speak();
  }

  function play() {
    if (request || reduced.matches || !last) return;
    document.dispatchEvent(new Event(TURN)); // one player moves at a time: all others pause, this one's twins too
    if (time >= last) time = 0;
    [before, spoken, ticks] = [Infinity, performance.now(), []]; // the clock starts with the first frame
    request = requestAnimationFrame(tick);
    show();
  }

  function seek(record) { // what stands still is a record, the one that the sentence is about
    cancelAnimationFrame(request);
    request = 0;
    time = Math.max(0, Math.min(last, record));
    show();
  }

  const pause = () => request && seek(frame());
  const toggle = () => (request ? pause() : play());

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === speed) return;
    const page = Math.max(1, Math.round(last / 10)), space = event.key === " ";
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -page, PageUp: page,
      Home: -last, End: last };
    if (event.key in moves) seek(frame() + moves[event.key]);
    else if (event.key === "k" || (space && event.target !== button)) event.repeat || toggle();
    else if (!space) return;
    event.stopPropagation();
    if (!space || event.target !== button) event.preventDefault(); // Space on a button is a click already
  }

  const onFrame = () => own || seek(model.get("frame"));
  const seen = new IntersectionObserver((entries) => entries.at(-1).isIntersecting || pause());
  const sized = new ResizeObserver(fit);

  const closing = new AbortController(), { signal } = closing; // takes all listeners off at once
  const on = (target, event, callback) => target.addEventListener(event, callback, { signal });
  on(button, "click", toggle);
  on(slider, "input", () => seek(Number(slider.value)));
  on(canvas, "click", () => (button.disabled ? slider : button).focus({ preventScroll: true }));
  on(root, "keydown", onKey);
  on(document, "visibilitychange", () => document.hidden && pause());
  on(document, TURN, pause);
  on(window, "resize", fit); // a zoom changes the pixel ratio and may leave the size alone
  on(reduced, "change", () => seek(frame()));
  model.on("change:frame", onFrame);
  seen.observe(canvas);
  sized.observe(canvas);
  show();

  const background = model.get("_background");
  if (background && background.byteLength) {
    createImageBitmap(new Blob([bytes(background)], { type: "image/png" })).then(
      (decoded) => { if (!signal.aborted) { bitmap = decoded; fit(); } },
      () => {}, // a picture that cannot be read leaves a white canvas; the walkers still play
    );
  }

  return () => {
    closing.abort();
    cancelAnimationFrame(request);
    seen.disconnect();
    sized.disconnect();
    model.off("change:frame", onFrame);
    root.remove();
  };
}

export default { render };
