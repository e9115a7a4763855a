// How a stage is drawn on its canvases; lengths are in CSS pixels.
import { signed } from "./run.js";
import { groups, histogram, lossAt } from "./valleys.js";

const CIVIDIS = [[254, 232, 56], [222, 201, 88], [188, 174, 108], [155, 148, 118], [125, 124, 120], [97, 101, 111],
  [67, 78, 108], [26, 56, 111], [0, 34, 78]]; // matplotlib's, from the floor up
const BLUE = "#0072B2", DOT = 3.2, LEVELS = 12, BARS = 40, FONT = 14;

/** Where a pane's plan and histogram stand, and the scales from data to pixels. */
export function layout(scene, width) {
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
export function field(land, plan, scale) {
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
  for (let i = 0; i < scene.shown; i++) {
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

/** Colours and sizes for words of a colour: light words mean a dark page. */
export function dressed(scene, color, fontFamily) {
  const [r, g, b] = (color.match(/[\d.]+/g) || [0, 0, 0]).map(Number), dark = 0.3 * r + 0.59 * g + 0.11 * b > 140;
  const scale = Math.min(3, window.devicePixelRatio || 1), size = 2 * (DOT + 1);
  const dot = document.createElement("canvas"), pen = dot.getContext("2d");
  dot.width = dot.height = Math.ceil(size * scale);
  pen.scale(dot.width / size, dot.width / size);
  pen.arc(size / 2, size / 2, DOT, 0, 2 * Math.PI);
  Object.assign(pen, { fillStyle: scene.view === "bowl" && dark ? "#56B4E9" : BLUE, globalAlpha: 0.85 }).fill();
  Object.assign(pen, { strokeStyle: "#fff", lineWidth: 1, globalAlpha: 1 }).stroke();
  return { color, scale, dark, dot, ink: color, font: `${FONT}px ${fontFamily}`,
    bar: dark ? "#56B4E9" : BLUE, law: dark ? "#F5B8DA" : "#A0307A" };
}

/** Draws both panes, each with its bars to a scale that shrinks slowly and never cuts one. */
export function drawPanes(figures, run, shape, look) {
  const { scene } = run;
  figures.forEach(({ ctx }, i) => {
    const pane = run.panes[i], law = lawOf(run, pane), bars = histogram(run.values(pane), scene.axis, BARS);
    pane.top = Math.max(1.05 * Math.max(...bars, ...(law || []).map(([, density]) => density)), 0.96 * (pane.top || 0));
    ctx.setTransform(look.scale, 0, 0, look.scale, 0, 0);
    ctx.clearRect(0, 0, shape.width, shape.height);
    drawPlan(ctx, run, pane, shape.plan, look);
    drawChart(ctx, run, pane, shape.chart, look);
  });
}
