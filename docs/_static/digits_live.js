// A network on digits that is let go on a road, and trained, in the reader's browser: the page's side. The network itself is in
// workers (teaching/live/digits.js and digits_walk.js), made from a string so that it runs from a folder too.

const DIGITS_WORDS = {
  setting: "Batch size and learning rate",
  go: "Let the walkers go", stop: "Stop", again: "Let them go again", train: "Train two networks", more: "Train two others",
  noise: (s, live) => `${live ? "Live" : "Recorded with PyTorch"}: ${s.walkers} walkers each from 0.3 and 0.7, B = ${s.batchSize}, η = ${s.learningRate}`,
  control: (s, live) => `${live ? "Live" : "Recorded with PyTorch"}: without noise (all 500 digits), η = ${s.control.learningRate}, for the same flow time`,
  said: (o) => `${o.live ? `Step ${o.step} of the live walkers` : `Recorded with PyTorch, step ${o.step}`}: the left group is at ` +
    `${o.left} and the right one at ${o.right} (± ${o.error}), where linear theory says ${o.theory[0]} and ${o.theory[1]}. ` +
    `Without noise, after the same flow time, they are at ${o.control[0]} and ${o.control[1]}.`,
  load: "Loading the network, the digits and the road: 0.7 MB.",
  lost: "This browser could not load or run the network. The picture is recorded.",
  pace: (rate, left) => `${rate} walker steps a second${left ? `, about ${left} s left` : ""}.`,
  ready: (s) => `${(2 * s.walkers * s.steps).toLocaleString("en")} walker steps, computed by your machine as you watch.`,
  still: "Your system asks for less motion: the picture is drawn when the walkers have arrived.",
  key: "Thin lines are walkers, thick ones the mean of each group, and the dashed ones linear theory, with no free constant. " +
    "Every 15 steps a walker is put back on the nearest point of the road. At B = 16 and η = 0.02 they outrun theory: away " +
    "from the road the noise grows.",
  steps: "steps", along: "position on the road", theory: "theory", loss: "loss", trace: "trace of H",
  over: "relative to the ends", narrowing: "narrowing Λ of the road", push: "noise pushes", from: (start) => `from ${start}`,
  curves: "Loss while they are trained", line: "Loss between them", seed: (n) => `seed ${n}`, straight: "straight line",
  road: "road above", floor: "floor", share: "from one network to the other",
  untrained: (t) => `Training takes ${t.steps.toLocaleString("en")} steps of ${t.batchSize} digits for each network, a few seconds. ` +
    "The ends of the road above had twice as many, and a rest without noise.",
  training: (done) => `${done} % of the steps are done.`,
  trained: (o) => `Seeds ${o.seeds[0]} and ${o.seeds[1]} end at a loss of ${o.ends[0]} and ${o.ends[1]}; label noise puts the ` +
    `floor at ${o.floor}. They know ${o.right} % of their labels, the wrong ones included. On the straight line between ` +
    `them the loss rises to ${o.top}: a hill, which a bent road goes around.`,
};
const TRAINING = { steps: 4000, batchSize: 32, learningRate: 0.1, momentum: 0.9, looks: 40 };
const FRAME = 200; // milliseconds between two pictures while workers need the cores
const SPEAK = 4000; // between two sentences

const digitsHeard = {}; // what the scripts brought, by name
let digitsAwaited = [];

function entropicDigits(values) { // first.js and data.js call this
  Object.assign(digitsHeard, values);
  digitsAwaited = digitsAwaited.filter((tell) => !tell());
  if (values.measured) document.querySelectorAll(".ee-digits").forEach((place) => digitsStage(place, values));
}

function digitsData(folder) { // the network and its road, when they are wanted first
  return new Promise((resolve, reject) => {
    const tell = () => digitsHeard.packed && (resolve(digitsHeard.packed), true);
    if (tell()) return;
    digitsAwaited.push(tell);
    const script = Object.assign(document.createElement("script"), { src: `${folder}/data.js` });
    script.onerror = () => { script.remove(); reject(new Error(script.src)); };
    document.head.append(script);
  });
}

function digitsUnpacked(packed) {
  const plain = (value) => value?.base64 === undefined ? value : Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0));
  return Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, plain(value)]));
}

// --- the walkers ----------------------------------------------------------------------------------------------------

const digitsMean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What theory says at a step, for each group. */
function digitsAt({ step, position }, when) {
  let i = 1;
  while (i < step.length - 1 && step[i] < when) i++;
  const share = Math.min(1, Math.max(0, (when - step[i - 1]) / (step[i] - step[i - 1])));
  return position[i].map((value, group) => position[i - 1][group] + share * (value - position[i - 1][group]));
}

/** Workers with the network in them; tell(message, its number) hears each answer. */
function digitsWorkers(count, source, packed, tell, fail) {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const all = Array.from({ length: count }, (_, n) => {
    const worker = new Worker(address);
    worker.onmessage = ({ data }) => tell(data, n);
    worker.onerror = fail;
    worker.postMessage({ packed });
    return worker;
  });
  return { ask: (n, message) => all[n].postMessage(message), close: () => { all.forEach((one) => one.terminate()); URL.revokeObjectURL(address); } };
}

/** Shares jobs of one walker each among workers: the dearest first, each to who has least. */
function digitsShared(jobs, count) {
  const loads = new Array(count).fill(0), shares = loads.map(() => []);
  for (const job of [...jobs].sort((a, b) => b.cost - a.cost)) {
    const least = loads.indexOf(Math.min(...loads));
    loads[least] += job.cost;
    shares[least].push(job);
  }
  return shares;
}

function digitsMake(tag, parent, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

function digitsWalk(place, { measured, worker }, reduced) {
  const words = DIGITS_WORDS, { settings, starts, profile, momentum, every } = measured, root = digitsMake("div", place);
  const bar = digitsMake("div", root, { className: "ee-digits-bar" });
  const button = digitsMake("button", bar, { type: "button", textContent: words.go });
  const label = digitsMake("label", bar, { textContent: words.setting });
  const choice = digitsMake("select", label);
  settings.forEach((s, n) => digitsMake("option", choice, { value: n, textContent: `B = ${s.batchSize}, η = ${s.learningRate}` }));
  const panes = digitsMake("div", root, { className: "ee-digits-panes" });
  const noisy = digitsCanvas(panes, "", 470), alone = digitsCanvas(panes, "", 470);
  const sentence = digitsMake("p", root, { className: "ee-sentence" });
  sentence.setAttribute("aria-live", "polite");
  const status = digitsMake("p", root, { className: "ee-digits-status" });
  digitsMake("p", root, { className: "ee-digits-key", textContent: words.key });
  let crew = null, run = null, seed = 0, timer = 0, spoken = 0;

  const setting = () => settings[Number(choice.value)];

  /** The recorded walkers in the form of live ones. */
  function recorded(s) {
    const tracks = (told, each) => told.position[0].map((_, w) =>
      ({ group: Number(w >= each), step: told.step, position: told.position.map((row) => row[w]) }));
    return { noisy: tracks(s.drift, s.walkers), alone: tracks(s.control, 1) };
  }

  /** Means of each group at the steps that all of its walkers have reached. */
  function means(tracks) {
    return starts.map((_, group) => {
      const mine = tracks.filter((track) => track.group === group), least = Math.min(...mine.map(({ step }) => step.length));
      return Array.from({ length: least }, (_, i) => [mine[0].step[i], digitsMean(mine.map(({ position }) => position[i]))]);
    });
  }

  function draw() {
    const s = setting(), tracks = run?.tracks || recorded(s), live = Boolean(run);
    for (const [{ canvas, head }, name, theory, steps, below] of [
      [noisy, "noisy", s.theory, s.steps, digitsProfile], [alone, "alone", s.theoryControl, s.control.steps, digitsNarrowing]]) {
      head.textContent = words[name === "noisy" ? "noise" : "control"](s, live);
      const sheet = digitsPen(canvas), left = 52, wide = sheet.wide - left - 14;
      digitsWalkers(sheet, [left, 24, wide, 250], { tracks: tracks[name], means: means(tracks[name]), theory, steps, starts });
      below(sheet, [left, 306, wide, 110], profile);
    }
  }

  function say(final) {
    const s = setting(), tracks = run?.tracks || recorded(s), [left, right] = means(tracks.noisy), two = (v) => v.toFixed(2);
    if (!left.length || !right.length) return;
    const count = Math.min(left.length, right.length), [step] = left[count - 1];
    const ends = starts.map((_, group) => tracks.noisy.filter((track) => track.group === group).map((track) => track.position[count - 1]));
    const errors = ends.map((all) => Math.sqrt(all.reduce((sum, v) => sum + (v - digitsMean(all)) ** 2, 0) / Math.max(1, all.length - 1) / all.length));
    const control = means(tracks.alone).map((mean) => (mean.length ? two(mean.at(-1)[1]) : "where they were"));
    const told = { live: Boolean(run), step: step.toLocaleString("en"), left: digitsMean(ends[0]).toFixed(3), right: digitsMean(ends[1]).toFixed(3) };
    sentence.textContent = words.said({ ...told, error: Math.max(...errors).toFixed(3), theory: digitsAt(s.theory, step).map(two), control });
    for (const { canvas, head } of [noisy, alone]) canvas.setAttribute("aria-label", `${head.textContent}. ${final ? sentence.textContent : ""}`);
  }

  function show(state) {
    place.dataset.state = state;
    button.textContent = state === "running" ? words.stop : state === "recorded" ? words.go : words.again;
    if (state !== "running" || !reduced.matches) draw();
    say(true);
  }

  function stop(state) {
    clearInterval(timer);
    crew?.close();
    crew = null;
    show(state);
  }

  function lost() {
    run = null;
    stop("recorded");
    status.textContent = words.lost;
  }

  /** Jobs of one walker each, with what they cost in samples. */
  function jobs(s) {
    const told = { seed: ++seed, momentum, every };
    const noise = starts.flatMap((start, group) => Array.from({ length: s.walkers }, (_, n) => ({
      ...told, batchSize: s.batchSize, learningRate: s.learningRate, steps: s.steps, starts: [start],
      numbers: [group * s.walkers + n], id: ["noisy", group * s.walkers + n], cost: s.steps * s.batchSize })));
    const still = starts.map((start, group) => ({
      ...told, batchSize: null, learningRate: s.control.learningRate, steps: s.control.steps, starts: [start],
      id: ["alone", group], cost: s.control.steps * measured.samples * 0.75 })); // in larger pieces they are cheaper
    return [...noise, ...still];
  }

  async function go() {
    if (crew) return stop("stopped");
    const s = setting(), state = place.dataset.state;
    place.dataset.state = "loading";
    status.textContent = digitsHeard.packed ? "" : words.load;
    let packed;
    try {
      packed = digitsUnpacked(await digitsData(place.dataset.folder));
    } catch {
      place.dataset.state = state;
      status.textContent = words.lost;
      return;
    }
    if (s !== setting() || crew) return;
    const track = (start, group) => ({ group, step: [0], position: [start] });
    run = { tracks: { noisy: starts.flatMap((start, group) => Array.from({ length: s.walkers }, () => track(start, group))), alone: starts.map(track) } };
    const count = Math.max(1, Math.min(8, navigator.hardwareConcurrency || 2)), began = performance.now();
    let open = count, done = 0, marked = false;
    const all = 2 * s.walkers * s.steps;
    const hear = (message) => {
      if (message.step) {
        const [name, w] = message.id, mine = run.tracks[name][w];
        mine.step.push(message.step);
        mine.position.push(message.position[0]);
        if (name === "noisy") done += every;
        place.dataset.step = Math.min(...run.tracks.noisy.map(({ step }) => step.at(-1))); // all walkers have taken so many
        if (!marked && Number(place.dataset.step) >= 2000) {
          marked = true;
          place.dataset.seconds2000 = ((performance.now() - began) / 1000).toFixed(2);
        }
      } else if (message.done && --open === -count) { // each answers twice: to the data, and when its walkers have arrived
        stop("done");
        status.textContent = words.pace(rate(), 0);
      }
    };
    const rate = () => Math.round((1000 * done) / (performance.now() - began)).toLocaleString("en");
    try {
      crew = digitsWorkers(count, worker, packed, hear, lost);
      digitsShared(jobs(s), count).forEach((share, n) => crew.ask(n, { walk: share }));
    } catch {
      return lost();
    }
    show("running");
    spoken = performance.now();
    timer = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      status.textContent = (reduced.matches ? `${words.still} ` : "") + words.pace(rate(), done > all / 50 ? Math.ceil((seconds * (all - done)) / done) : 0);
      if (reduced.matches) return;
      draw();
      if (performance.now() - spoken < SPEAK) return;
      spoken = performance.now();
      say(false);
    }, FRAME);
  }

  function reset() {
    run = null;
    status.textContent = words.ready(setting());
    stop("recorded");
  }

  button.addEventListener("click", go);
  choice.addEventListener("change", reset);
  reset();
  return () => { if (!(crew && reduced.matches)) draw(); };
}

// --- the training ---------------------------------------------------------------------------------------------------

function digitsTraining(place, { measured, worker }) {
  const words = DIGITS_WORDS, { profile } = measured, root = digitsMake("div", place, { className: "ee-digits-training" });
  const bar = digitsMake("div", root, { className: "ee-digits-bar" });
  const button = digitsMake("button", bar, { type: "button", textContent: words.train });
  const status = digitsMake("span", bar, { className: "ee-digits-status", textContent: words.untrained(TRAINING) });
  const panes = digitsMake("div", root, { className: "ee-digits-panes", hidden: true });
  const curves = digitsCanvas(panes, words.curves, 250), between = digitsCanvas(panes, words.line, 250);
  const sentence = digitsMake("p", root, { className: "ee-sentence", hidden: true });
  sentence.setAttribute("aria-live", "polite");
  let crew = null, rows = [[], []], losses = null, seeds = [-1, 0];

  function draw() {
    if (panes.hidden) return;
    const left = 52, y = [2.6, 0], yTicks = [0, 1, 2];
    let sheet = digitsPen(curves.canvas);
    const { steps } = TRAINING, box = [left, 24, sheet.wide - left - 18, 174];
    const xTicks = [0, steps / 2, steps];
    let panel = digitsPanel(sheet, box, { x: [0, steps], y, yTicks, xTicks, yName: words.loss });
    const floor = (at) => {
      digitsLine(sheet.pen, [[at.left, at.py(measured.floor)], [at.left + at.wide, at.py(measured.floor)]], sheet.ink, 1.2, 1, [2, 3]);
    };
    floor(panel);
    Object.assign(sheet.pen, { fillStyle: sheet.ink, textAlign: "right", textBaseline: "top" });
    sheet.pen.fillText(words.floor, panel.left + panel.wide - 6, panel.py(measured.floor) + 4);
    Object.assign(sheet.pen, { textAlign: "center" });
    sheet.pen.fillText(words.steps, panel.left + panel.wide / 2, panel.top + panel.high + 24);
    rows.forEach((mine, n) => {
      digitsLine(sheet.pen, mine.map(([step, loss]) => [panel.px(step), panel.py(loss)]), sheet.groups[n], 2.2, 1, n ? [7, 4] : []);
      const x = panel.left + panel.wide - 130, level = panel.py(1.75 - 0.3 * n);
      digitsLine(sheet.pen, [[x, level], [x + 46, level]], sheet.groups[n], 2.2, 1, n ? [7, 4] : []);
      Object.assign(sheet.pen, { fillStyle: sheet.ink, textAlign: "left", textBaseline: "middle" });
      sheet.pen.fillText(words.seed(seeds[n]), x + 52, level);
    });
    sheet = digitsPen(between.canvas);
    panel = digitsPanel(sheet, box, { x: [0, 1], y, yTicks, xTicks: [0, 0.5, 1], yName: words.loss });
    floor(panel);
    Object.assign(sheet.pen, { fillStyle: sheet.ink, textAlign: "center", textBaseline: "top" });
    sheet.pen.fillText(words.share, panel.left + panel.wide / 2, panel.top + panel.high + 24);
    digitsLine(sheet.pen, profile.loss.map((loss, i) => [panel.px(profile.position[i]), panel.py(loss)]), sheet.ink, 2.2, 1, [6, 4]);
    sheet.pen.fillText(words.road, panel.px(0.5), panel.py(profile.loss[0]) + 6);
    if (!losses) return;
    digitsLine(sheet.pen, losses.map((loss, i) => [panel.px(i / (losses.length - 1)), panel.py(loss)]), sheet.groups[1], 2.6);
    const top = Math.max(...losses), where = losses.indexOf(top) / (losses.length - 1);
    Object.assign(sheet.pen, { fillStyle: sheet.groups[1], textBaseline: "bottom" });
    sheet.pen.fillText(words.straight, panel.px(where), panel.py(top) - 4);
  }

  function lost() {
    crew?.close();
    crew = null;
    button.disabled = false;
    status.textContent = words.lost;
  }

  async function go() {
    button.disabled = true;
    status.textContent = digitsHeard.packed ? "" : words.load;
    const thetas = [];
    try {
      const packed = digitsUnpacked(await digitsData(place.dataset.folder));
      delete packed.pivots; // no road is needed
      [rows, losses, seeds] = [[[], []], null, seeds.map((seed) => seed + 2)];
      crew = digitsWorkers(2, worker, packed, hear, lost);
    } catch {
      return lost();
    }
    [panes.hidden, sentence.hidden] = [false, false];
    sentence.textContent = "";
    seeds.forEach((seed, id) => crew.ask(id, { train: { ...TRAINING, seed, id } }));
    function hear(message, n) {
      if (message.loss !== undefined) {
        rows[message.id].push([message.step, message.loss, message.accuracy]);
        const least = Math.min(...rows.map((mine) => (mine.length ? mine.at(-1)[0] : 0)));
        status.textContent = words.training(Math.round((100 * least) / TRAINING.steps));
      } else if (message.theta) {
        thetas[n] = message.theta;
        if (thetas[0] && thetas[1]) crew.ask(n, { line: thetas, points: 25 });
      } else if (message.losses) {
        ({ losses } = message);
        const [a, b] = rows.map((mine) => mine.at(-1)), two = (value) => value.toFixed(2);
        sentence.textContent = words.trained({ seeds, ends: [two(a[1]), two(b[1])], floor: two(measured.floor),
          right: Math.round(50 * (a[2] + b[2])), top: two(Math.max(...losses)) });
        for (const { canvas, head } of [curves, between]) canvas.setAttribute("aria-label", `${head.textContent}. ${sentence.textContent}`);
        status.textContent = "";
        [button.disabled, button.textContent] = [false, words.more];
        crew.close();
        crew = null;
        place.dataset.trained = seeds.join("-");
      }
      requestAnimationFrame(draw);
    }
  }

  button.addEventListener("click", go);
  return draw;
}

function digitsStage(place, told) {
  place.replaceChildren();
  const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");
  const draws = [digitsWalk(place, told, reduced), digitsTraining(place, told)];
  const draw = () => draws.forEach((one) => one());
  new ResizeObserver(draw).observe(place);
  window.addEventListener("resize", draw); // a zoom may leave the size alone
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
}
