// How the page draws digits that walk: panels on a canvas, in the colours of the page. digits_live.js has the words.

function digitsCanvas(parent, caption, high) {
  const figure = parent.appendChild(document.createElement("figure"));
  const head = figure.appendChild(document.createElement("figcaption"));
  head.textContent = caption;
  const canvas = figure.appendChild(document.createElement("canvas"));
  canvas.setAttribute("role", "img");
  canvas.style.height = `${high}px`;
  return { canvas, head };
}

/** A pen on a cleared canvas in CSS pixels, with the colours of the page. */
function digitsPen(canvas) {
  const scale = window.devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
  const [pixelsWide, pixelsHigh] = [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
  if (canvas.width !== pixelsWide) canvas.width = pixelsWide;
  if (canvas.height !== pixelsHigh) canvas.height = pixelsHigh;
  const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, wide, high);
  pen.font = `14px ${style.fontFamily}`;
  const colour = (name) => style.getPropertyValue(name).trim() || "#222";
  const groups = [colour("--ee-left"), colour("--ee-right")];
  return { pen, wide, high, ink: style.color, faint: colour("--ee-faint"), groups };
}

/** A panel: axes, ticks and names; returns the functions from values to pixels. */
function digitsPanel({ pen, ink, faint }, box, { x, y, xTicks = [], yTicks = [], xName, yName }) {
  const [left, top, wide, high] = box;
  const px = (value) => left + ((value - x[0]) / (x[1] - x[0])) * wide;
  const py = (value) => top + ((value - y[0]) / (y[1] - y[0])) * high;
  Object.assign(pen, { strokeStyle: faint, fillStyle: ink, lineWidth: 1, globalAlpha: 1, textBaseline: "middle" });
  pen.strokeRect(left + 0.5, top + 0.5, wide, high);
  pen.textAlign = "right";
  for (const tick of yTicks) {
    pen.fillText(tick.toLocaleString("en").replace("-", "−"), left - 6, py(tick));
    pen.beginPath();
    pen.moveTo(left, py(tick));
    pen.lineTo(left + wide, py(tick));
    pen.stroke();
  }
  Object.assign(pen, { textAlign: "center", textBaseline: "top" });
  for (const tick of xTicks) pen.fillText(tick.toLocaleString("en"), px(tick), top + high + 6);
  if (xName) pen.fillText(xName, left + wide / 2, top + high + 6 + (xTicks.length > 2 ? 18 : 0));
  Object.assign(pen, { textAlign: "left", textBaseline: "bottom" });
  if (yName) pen.fillText(yName, left, top - 4);
  return { px, py, left, top, wide, high };
}

function digitsLine(pen, points, colour, width, alpha = 1, dash = []) {
  Object.assign(pen, { strokeStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: "round" });
  pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

/** About a hundred of many points, the first and the last among them: the cores are for the workers. */
function digitsThinned(points) {
  const every = Math.ceil(points.length / 100);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

/** Walkers on the road as steps go by, their means and theory. tracks: for each walker its group, steps and positions. */
function digitsWalkers(sheet, box, { tracks, means, theory, steps, starts }) {
  const { pen, ink, groups } = sheet, ticks = [0, 1, 2, 3].map((n) => Math.round((n * steps) / 3));
  const panel = digitsPanel(sheet, box, { x: [0, 1], y: [0, steps], yTicks: ticks, yName: DIGITS_WORDS.steps });
  const { px, py } = panel;
  for (const { group, step, position } of tracks) {
    digitsLine(pen, digitsThinned(step.map((s, i) => [s, position[i]])).map(([s, at]) => [px(at), py(s)]), groups[group], 1, 0.55);
  }
  starts.forEach((start, group) => {
    digitsLine(pen, theory.step.map((s, i) => [px(theory.position[i][group]), py(s)]), ink, 1.6, 1, [6, 4]);
    const mean = means[group];
    digitsLine(pen, digitsThinned(mean).map(([s, value]) => [px(value), py(s)]), groups[group], 3);
    if (mean.length) {
      const [s, value] = mean.at(-1);
      pen.fillStyle = groups[group];
      pen.beginPath();
      pen.arc(px(value), py(s), 5, 0, 2 * Math.PI);
      pen.fill();
    }
    Object.assign(pen, { fillStyle: groups[group], textBaseline: "top", textAlign: group ? "left" : "right" });
    pen.fillText(DIGITS_WORDS.from(start), px(start) + (group ? 8 : -8), panel.top + 5);
  });
  const last = theory.position.at(-1);
  Object.assign(pen, { fillStyle: ink, textBaseline: "bottom", textAlign: "center" });
  const middle = (last[0] + last[1]) / 2;
  pen.fillText(DIGITS_WORDS.theory, px(middle), panel.top + panel.high - 6);
  for (const end of last) { // from the word to its lines
    const sign = Math.sign(end - middle), y = panel.top + panel.high - 14;
    digitsLine(pen, [[px(middle) + sign * 30, y], [px(end) - sign * 5, y]], ink, 1, 0.6);
  }
}

function digitsProfile(sheet, box, profile) {
  const { pen, ink, groups } = sheet;
  const over = (values) => values.map((value) => value / ((values[0] + values.at(-1)) / 2));
  const [loss, trace] = [over(profile.loss), over(profile.trace)], most = Math.max(...trace) * 1.12;
  const ticks = { xTicks: [0, 0.25, 0.5, 0.75, 1], yTicks: [1, Math.floor(most)], xName: DIGITS_WORDS.along };
  const panel = digitsPanel(sheet, box, { x: [0, 1], y: [most, 0], yName: DIGITS_WORDS.over, ...ticks });
  const draw = (values, colour, dash) => digitsLine(pen, values.map((value, i) => [panel.px(profile.position[i]), panel.py(value)]), colour, 2.2, 1, dash);
  draw(trace, groups[1], []);
  draw(loss, ink, [2, 3]);
  Object.assign(pen, { fillStyle: groups[1], textBaseline: "bottom", textAlign: "left" });
  pen.fillText(DIGITS_WORDS.trace, panel.px(0.71), panel.py(2.2));
  Object.assign(pen, { fillStyle: ink, textBaseline: "top", textAlign: "center" });
  pen.fillText(DIGITS_WORDS.loss, panel.px(0.5), panel.py(1) + 4);
}

function digitsNarrowing(sheet, box, profile) {
  const { pen, ink, groups } = sheet, values = profile.narrowing, most = Math.max(...values.map(Math.abs)) * 1.15;
  const ticks = { xTicks: [0, 0.25, 0.5, 0.75, 1], yTicks: [0.1, 0, -0.1], xName: DIGITS_WORDS.along };
  const panel = digitsPanel(sheet, box, { x: [0, 1], y: [most, -most], yName: DIGITS_WORDS.narrowing, ...ticks });
  digitsLine(pen, values.map((value, i) => [panel.px(profile.position[i]), panel.py(value)]), groups[1], 2.2);
  const arrow = (place, level, to) => { // where the road narrows towards 1, noise pushes towards 0
    const x = panel.px(place), y = panel.py(level * most), tip = x + 26 * to;
    digitsLine(pen, [[x, y], [tip, y]], ink, 1.8);
    digitsLine(pen, [[tip - 7 * to, y - 5], [tip, y], [tip - 7 * to, y + 5]], ink, 1.8);
    Object.assign(pen, { fillStyle: ink, textAlign: to < 0 ? "left" : "right", textBaseline: "middle" });
    pen.fillText(DIGITS_WORDS.push, x - 8 * to, y);
  };
  arrow(0.14, -0.5, -1);
  arrow(0.86, 0.5, 1);
}
