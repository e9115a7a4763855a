// What stands on a stage: two crowds that share their draws, what theory expects of them, and the numbers to be told.
import { seeded } from "./draws.js";
import { Across, Along, Crowd, groups, histogram, meanOf, valley } from "./valleys.js";

/** Crowds and theory of a scene at a choice of its panes; `panes` are two that share the draws of each step. */
export class Run {
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
    const from = kind === "moved" ? meanOf(this.places).mean : 0, moved = (y) => y - from;
    return { ...meanOf(values.map(moved)), law: pane.theory.mean(moved) };
  }
}

/** Words of a template with its {names} filled in. */
function filled(words, values) {
  return words.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

export const signed = (value, digits) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

/** The sentence: a run's numbers in words, with what the sliders set, and how they show it. */
export function said(run, turned, shown) {
  const { scene } = run, { measure: { digits, scale }, words } = scene, values = { ...turned, ...shown };
  values.step = run.number.toLocaleString("en");
  run.panes.forEach((pane, i) => {
    const { count, mean, error, law } = run.measured(pane), one = "ab"[i];
    const [value, apart, theory] = [mean, error, law].map((each) => signed(scale * each, digits));
    const noisy = run.setting(pane, turned).batch_size !== null || error > 1e-9; // walkers without noise are one walker
    const gone = count < scene.walkers ? ` (${words.gone.replace("{gone}", scene.walkers - count)})` : "";
    Object.assign(values, { [`${one}_value`]: (noisy ? `${value} ± ${apart}` : value) + gone, [`${one}_law`]: theory });
  });
  return filled(words.sentence, values);
}

/** The picture of a pane in words: the share of walkers in each fifth of the axis, and the means of their groups. */
export function described(run, pane) {
  const { scene } = run, { words, axis: [low, high] } = scene, values = run.values(pane), fifth = (high - low) / 5;
  const shares = Array.from(histogram(values, scene.axis, 5), (density) => Math.round(100 * density * fifth));
  const laws = shares.map((_, i) => Math.round(100 * pane.theory.share(low + i * fifth, low + (i + 1) * fifth)));
  const means = groups(values, scene.split).filter(({ count }) => count).map(({ mean }) => signed(mean, 2));
  return filled(words.described, { axis: words.axis, low: signed(low, 2), high: signed(high, 2),
    shares: shares.join(", "), laws: laws.join(", "), means: means.join(", ") });
}
