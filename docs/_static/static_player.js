// The walker player on a page without a kernel: two sliders choose a recorded run, a script brings it, the player plays it.

const WORDS = {
  size: "batch size B", rate: "learning rate η",
  wait: "Loading this run.", lost: "This run could not be loaded. Check that the page's folder _static is complete.",
};

const runs = {}, waiting = {};

function entropicRun(name, values) { // each run's script calls this
  runs[name] = values;
  waiting[name]?.forEach((told) => told(values));
  delete waiting[name];
}

function fetched(folder, name) {
  return new Promise((resolve, reject) => {
    if (runs[name]) return resolve(runs[name]);
    (waiting[name] ||= []).push(resolve);
    const script = document.createElement("script");
    script.src = `${folder}/run-${name}.js`;
    script.onerror = () => { delete waiting[name]; script.remove(); reject(new Error(script.src)); };
    document.head.append(script);
  });
}

/** What the player takes for its model: recorded values, and no kernel that hears of changes. */
function model(values, frame) {
  const bytes = (packed) => {
    const characters = atob(packed.base64), view = new Uint8Array(characters.length);
    for (let i = 0; i < view.length; i++) view[i] = characters.charCodeAt(i);
    return new DataView(view.buffer);
  };
  const state = { frame };
  for (const [name, value] of Object.entries(values)) state[name] = value?.base64 === undefined ? value : bytes(value);
  return {
    get: (name) => state[name], set: (name, value) => { state[name] = value; },
    save_changes() {}, on() {}, off() {},
  };
}

function slider(parent, words, shown, start) {
  const label = parent.appendChild(document.createElement("label"));
  label.append(words);
  const input = label.appendChild(document.createElement("input"));
  Object.assign(input, { type: "range", min: 0, max: shown.length - 1, step: 1, value: start });
  const output = label.appendChild(document.createElement("output"));
  const say = () => { output.textContent = shown[input.value]; input.setAttribute("aria-valuetext", shown[input.value]); };
  input.addEventListener("input", say);
  say();
  return input;
}

function begin(place) {
  const { folder, names, shown, start } = JSON.parse(place.dataset.walkers);
  place.replaceChildren();
  const bar = place.appendChild(document.createElement("div"));
  bar.className = "ee-static-controls";
  const size = slider(bar, WORDS.size, shown[0], start[0]), rate = slider(bar, WORDS.rate, shown[1], start[1]);
  const status = place.appendChild(document.createElement("p"));
  status.className = "ee-static-status";
  status.setAttribute("role", "status");
  const stage = place.appendChild(document.createElement("div"));
  let current = null, close = null, wanted = "";

  async function show() {
    const name = names[size.value][rate.value];
    if (name === wanted) return;
    wanted = name;
    status.textContent = runs[name] ? "" : WORDS.wait;
    try {
      const values = await fetched(folder, name);
      if (name !== wanted) return; // the slider has moved on
      const last = values._steps.length - 1; // first the end is shown, where the sliders tell; then the same share of a run
      const frame = current ? Math.round(last * current.get("frame") / (current.get("_steps").length - 1)) : last;
      const tall = stage.offsetHeight;
      stage.style.minHeight = `${tall}px`; // the page does not jump while one player makes room for the next
      close?.();
      current = model(values, frame);
      close = entropicPlayer.render({ model: current, el: stage });
      stage.style.minHeight = "";
      status.textContent = "";
      place.dataset.run = name;
    } catch {
      if (name === wanted) [status.textContent, wanted] = [WORDS.lost, ""];
    }
  }

  for (const input of [size, rate]) input.addEventListener("input", show);
  show();
}

document.querySelectorAll(".ee-static").forEach(begin);
