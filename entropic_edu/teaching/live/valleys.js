// The five valleys of entropic_edu.physics.valleys with their noise, crowds of heavy-ball walkers on them, and what
// theory expects of a crowd. Plain numbers and typed arrays: nothing here knows of a page. tests/teaching/test_live.py
// holds every law to `ee.drift`.

// --- valleys -------------------------------------------------------------------------------------------------------

const WAIST = { g_wide: 1, g_narrow: 16, width: 0.35 };

function bump({ g_wide, g_narrow, width }) { // h and h' of walls that tighten round y = 0
  const rise = (y) => (g_narrow - g_wide) * Math.exp(-0.5 * (y / width) ** 2);
  return { curvature: (y) => g_wide + rise(y), curvatureSlope: (y) => -(y / width ** 2) * rise(y) };
}

function opening({ slope, g_wide, g_narrow, width }) { // the walls of Tilted, and its floor
  const half = 0.5 * Math.log(g_narrow / g_wide), middle = Math.sqrt(g_narrow * g_wide);
  const curvature = (y) => middle * Math.exp(-half * Math.tanh(y / width));
  return {
    curvature, curvatureSlope: (y) => curvature(y) * (-half * (1 - Math.tanh(y / width) ** 2)) / width,
    floor: (y) => slope * y, floorSlope: () => slope,
  };
}

function well(walls) {
  const { barrier } = walls;
  return { ...bump(walls), floor: (y) => barrier * (y * y - 1) ** 2, floorSlope: (y) => 4 * barrier * y * (y * y - 1) };
}

function hyperbola() {
  return {
    curvature: (y) => 2 * Math.cosh(2 * y), curvatureSlope: (y) => 4 * Math.sinh(2 * y),
    metric: (y) => 2 * Math.cosh(2 * y), bent: true,
  };
}

const VALLEYS = {
  Waist: [bump, WAIST],
  Pinch: [bump, { ...WAIST, width: 0.08 }],
  DoubleWell: [well, { g_wide: 4, g_narrow: 4, width: 0.35, barrier: 0.02 }],
  Tilted: [opening, { slope: 0.01, g_wide: 1, g_narrow: 16, width: 0.7 }],
  Hyperbola: [hyperbola, { noise: "label" }],
};

/** A valley by the names and arguments of `ee.valleys`: h, h', f and f' along its floor, and its noise. */
export function valley(name, given = {}) {
  if (!VALLEYS[name]) throw new Error(`There is no valley ${name}; there are ${Object.keys(VALLEYS).join(", ")}.`);
  const [make, defaults] = VALLEYS[name];
  const walls = { noise: "isotropic", noise_scale: 1, half_length: 1, end_curvature: 0, ...defaults, ...given };
  const { floor = () => 0, floorSlope = () => 0, ...rest } = make(walls);
  const past = (y) => Math.max(y - walls.half_length, 0) - Math.max(-y - walls.half_length, 0);
  return {
    bent: false, metric: () => 1, ...rest, name, noise: walls.noise, scale: walls.noise_scale,
    floor: (y) => floor(y) + 0.5 * walls.end_curvature * past(y) ** 2,
    floorSlope: (y) => floorSlope(y) + walls.end_curvature * past(y),
  };
}

/** The loss at θ: (x, y) on a straight valley, (u, v) on the hyperbola. */
export function lossAt(land, x, y) {
  return land.bent ? 0.5 * (x * y - 1) ** 2 : land.floor(y) + 0.5 * land.curvature(y) * x * x;
}

/** T = ηs² / (2B(1 - m)); 0 where the batch is all data, null. */
export function temperature(land, { batch_size: batch, learning_rate: rate, momentum }) {
  return batch === null ? 0 : (rate * land.scale ** 2) / (2 * batch * (1 - momentum));
}

/** One step of ⟨x²⟩, ⟨xv⟩ and ⟨v²⟩ across a floor of curvature h, exact: v ← mv + hx + noise, x ← x - ηv. */
function spreadStep([xx, xv, vv], h, { learning_rate: rate, momentum: m }, noise) {
  const next = m * xv + h * xx, speed = m * m * vv + 2 * m * h * xv + h * h * xx + noise;
  return [xx - 2 * rate * next + rate * rate * speed, next - rate * speed, speed];
}

/** The variance of a step's gradient noise across the floor. */
function noiseAcross(land, h, { batch_size: batch }) {
  return batch === null ? 0 : ((land.noise === "isotropic" ? 1 : h) * land.scale ** 2) / batch;
}

// --- crowds --------------------------------------------------------------------------------------------------------

/** Walkers on one valley. `x` and `y` are θ's two numbers; `along` is where each stands along the floor. */
export class Crowd {
  constructor(land, count) {
    this.land = land;
    this.count = count;
    for (const name of ["x", "y", "vx", "vy"]) this[name] = new Float64Array(count);
  }

  /** Put all walkers on the floor, at rest, at coordinates that are taken in turn. */
  release(places) {
    for (let i = 0; i < this.count; i++) {
      const y = places[i % places.length];
      [this.x[i], this.y[i]] = this.land.bent ? [Math.exp(y), Math.exp(-y)] : [0, y];
    }
    this.vx.fill(0);
    this.vy.fill(0);
  }

  /** One step of heavy ball, v ← mv + g and θ ← θ - ηv; `normals` holds two for each walker, count apart. */
  step({ batch_size: batch, learning_rate: rate, momentum }, normals) {
    const { land, count, x, y, vx, vy } = this, kick = batch === null ? 0 : land.scale / Math.sqrt(batch);
    const white = land.noise === "isotropic", label = land.noise === "label";
    for (let i = 0; i < count; i++) {
      let across, along; // the gradient's two numbers
      if (land.bent) {
        const residual = x[i] * y[i] - 1 - (label ? kick * normals[i] : 0);
        [across, along] = [residual * y[i], residual * x[i]];
      } else {
        const h = land.curvature(y[i]);
        across = h * x[i] + (white ? 0 : kick * Math.sqrt(h) * normals[i]);
        along = land.floorSlope(y[i]) + 0.5 * land.curvatureSlope(y[i]) * x[i] * x[i];
      }
      if (white) {
        across += kick * normals[i];
        along += kick * normals[count + i];
      }
      vx[i] = momentum * vx[i] + across;
      vy[i] = momentum * vy[i] + along;
      x[i] -= rate * vx[i];
      y[i] -= rate * vy[i];
    }
  }

  /** The coordinate along the floor: y, or on the hyperbola the one that gradient flow keeps, 2 sinh 2y = u² - v². */
  get along() {
    if (!this.land.bent) return this.y;
    return this.y.map((v, i) => 0.5 * Math.asinh(0.5 * (this.x[i] ** 2 - v ** 2)));
  }
}

/** Mean and standard error of numbers, those that are not finite left out. */
export function meanOf(values) {
  let count = 0, sum = 0, squares = 0;
  for (const value of values) if (Number.isFinite(value)) [count, sum] = [count + 1, sum + value];
  const mean = sum / count;
  for (const value of values) if (Number.isFinite(value)) squares += (value - mean) ** 2;
  return { count, mean, error: Math.sqrt(squares / (count - 1) / count) };
}

/** The mean of each group: of those below and above `split`, or of all where that is null. Nobody has no mean. */
export function groups(values, split) {
  const parts = split === null ? [values] : [values.filter((y) => y < split), values.filter((y) => y >= split)];
  return parts.map(meanOf);
}

/** Shares of all values over the width of a bin, for `count` even bins; those beside them count as walkers too. */
export function histogram(values, [low, high], count) {
  const density = new Float64Array(count), wide = (high - low) / count;
  for (const value of values) {
    const bin = Math.floor((value - low) / wide);
    if (bin >= 0 && bin < count) density[bin] += 1 / (values.length * wide);
  }
  return density;
}

// --- theory --------------------------------------------------------------------------------------------------------

const CELLS = 241, POINTS = 96, OUT = { bent: 3.8, straight: 2.6 }; // cells by arc length, out to these ends

/** What theory expects of a crowd along the floor while its settings change: a density, or points without spread.
 *
 * In isotropic noise walkers diffuse at T in the free energy F = f + (T/2)(ln h - ln(1 - ηh/2(1+m))), which for small
 * steps is f + (T/2) ln h: rates of Scharfetter and Gummel (1969), implicit in time. That holds once walkers have settled
 * across the floor, after some 1/ηh steps. In other noise, and in none, nothing spreads them along it; there a point is
 * a walker whose x² is its mean, and so feels -f' - ½h'⟨x²⟩.
 */
export class Along {
  constructor(land) {
    const out = land.bent ? OUT.bent : OUT.straight;
    this.land = land;
    this.cell = (2 * out) / CELLS;
    this.places = this.#places(); // coordinates y of the cells' centres
    this.density = this.points = null;
  }

  #places() { // y at even arc lengths from the middle cell, by short steps of the midpoint rule
    const { land, cell } = this, half = (CELLS - 1) / 2, places = new Float64Array(CELLS);
    for (let i = 1, y = 0; i <= half; i++) {
      for (let part = 0; part < 10; part++) {
        const middle = y + (0.05 * cell) / Math.sqrt(land.metric(y));
        y += (0.1 * cell) / Math.sqrt(land.metric(middle));
      }
      [places[half + i], places[half - i]] = [y, -y];
    }
    return places;
  }

  release(places) {
    const count = Math.min(POINTS, places.length); // all places, or as many of them as are enough
    this.points = Float64Array.from({ length: count }, (_, i) => places[Math.floor(((i + 0.5) * places.length) / count)]);
    this.density = null;
    this.#rest();
  }

  #rest() {
    this.motion = Array.from(this.points, () => [0, 0, 0, 0]); // momentum along, ⟨x²⟩, ⟨xv⟩, ⟨v²⟩
  }

  advance(setting, steps) {
    const heat = temperature(this.land, setting);
    if (this.land.noise !== "isotropic" || heat === 0) return this.#drift(setting, steps);
    if (this.density === null) this.#spread();
    const [up, down] = this.#hops(setting, heat); // one step at a time: what a frame holds must not change the result
    for (let step = 0; step < steps; step++) this.density = implicit(this.density, up, down);
  }

  #hops({ learning_rate: rate, momentum: m }, heat) { // rates to the next cell and from it; kept while a setting lasts
    const key = `${rate} ${m} ${heat}`;
    if (this.kept?.key === key) return this.kept.hops;
    const { land, cell } = this, edge = rate / (2 * (1 + m)), pace = (rate / (1 - m)) * (heat / cell ** 2);
    const energy = this.places.map((y) => {
      const h = land.curvature(y);
      return land.floor(y) / heat + 0.5 * (Math.log(h) - Math.log(Math.max(1e-3, 1 - edge * h)));
    });
    const up = new Float64Array(CELLS), down = new Float64Array(CELLS);
    for (let i = 0; i + 1 < CELLS; i++) {
      const rise = energy[i + 1] - energy[i];
      [up[i], down[i]] = [pace * bernoulli(rise), pace * bernoulli(-rise)];
    }
    this.kept = { key, hops: [up, down] };
    return this.kept.hops;
  }

  #drift(setting, steps) {
    if (this.points === null) this.#gather();
    const { land } = this, { learning_rate: rate, momentum: m } = setting;
    this.points = this.points.map((y, i) => {
      let [speed, ...spread] = this.motion[i];
      for (let step = 0; step < steps; step++) {
        const h = land.curvature(y), push = land.floorSlope(y) + 0.5 * land.curvatureSlope(y) * spread[0];
        speed = m * speed + push / land.metric(y);
        spread = spreadStep(spread, h, setting, noiseAcross(land, h, setting));
        y -= rate * speed;
      }
      this.motion[i] = [speed, ...spread];
      return y;
    });
  }

  #spread() { // points become a density, shares of the cells
    this.density = new Float64Array(CELLS);
    for (const y of this.points) { // shared by the two cells beside it, so that the mean stays
      const next = Math.max(1, Math.min(CELLS - 1, this.places.findIndex((place) => place >= y)));
      const share = Math.max(0, Math.min(1, (y - this.places[next - 1]) / (this.places[next] - this.places[next - 1])));
      this.density[next] += share / this.points.length;
      this.density[next - 1] += (1 - share) / this.points.length;
    }
    this.points = null;
  }

  #gather() { // a density becomes points, its quantiles
    let below = 0, cell = -1;
    this.points = Float64Array.from({ length: POINTS }, (_, i) => {
      while (below < (i + 0.5) / POINTS && cell < CELLS - 1) below += this.density[++cell];
      return this.places[cell];
    });
    this.density = null;
    this.#rest();
  }

  /** Shares of the crowd [[y, share], ...], one for each cell or point. */
  get shares() {
    if (this.points) return Array.from(this.points, (y) => [y, 1 / this.points.length]);
    return Array.from(this.places, (y, i) => [y, this.density[i]]);
  }

  /** The share of walkers with low < y < high; of a cell that a limit cuts, the part inside. */
  share(low, high) {
    return this.shares.reduce((sum, [y, share]) => {
      const wide = this.points ? 1e-12 : this.cell / Math.sqrt(this.land.metric(y));
      return sum + share * Math.max(0, Math.min(1, (Math.min(high, y + wide / 2) - Math.max(low, y - wide / 2)) / wide));
    }, 0);
  }

  /** The mean of a function of y. */
  mean(of) {
    return this.shares.reduce((sum, [y, share]) => sum + share * of(y), 0);
  }

  /** The mean of each group as theory has it; null where a group is empty. */
  groups(split) {
    const sides = split === null ? [() => true] : [(y) => y < split, (y) => y >= split];
    return sides.map((side) => {
      const some = this.shares.filter(([y]) => side(y)), all = some.reduce((sum, [, share]) => sum + share, 0);
      return all > 1e-9 ? some.reduce((sum, [y, share]) => sum + y * share, 0) / all : null;
    });
  }

  /** The density by y as points [y, density], or null where theory has no spread. */
  get curve() {
    if (this.points) return null;
    const { land, cell, places, density } = this;
    return Array.from(places, (y, i) => [y, (density[i] / cell) * Math.sqrt(land.metric(y))]);
  }
}

function bernoulli(x) { // x / (eˣ - 1)
  return Math.abs(x) < 1e-6 ? 1 - 0.5 * x : x / Math.expm1(Math.min(x, 500));
}

function implicit(shares, up, down) { // (1 - hop) new = old, a tridiagonal system: no walker is lost at any step
  const count = shares.length, upper = new Float64Array(count), out = Float64Array.from(shares);
  for (let i = 0; i < count; i++) { // elimination from the left
    const lower = i ? -up[i - 1] : 0;
    let pivot = 1 + up[i] + (i ? down[i - 1] : 0);
    if (i) [pivot, out[i]] = [pivot - lower * upper[i - 1], out[i] - lower * out[i - 1]];
    upper[i] = -down[i] / pivot;
    out[i] /= pivot;
  }
  for (let i = count - 2; i >= 0; i--) out[i] -= upper[i] * out[i + 1];
  return out;
}

/** The variance of x across a straight floor, step by step and exact. */
export class Across {
  constructor(land) {
    this.land = land;
    this.release();
  }

  release() {
    this.moments = [0, 0, 0];
  }

  advance(setting, steps) {
    const h = this.land.curvature(0), noise = noiseAcross(this.land, h, setting);
    for (let i = 0; i < steps; i++) this.moments = spreadStep(this.moments, h, setting, noise);
  }

  get xx() {
    return this.moments[0];
  }

  /** The share of walkers with low < x < high, by 50 cells of a Gaussian. */
  share(low, high) {
    if (!(this.xx > 0)) return +(low < 0 && 0 < high);
    let sum = 0;
    for (let i = 0; i < 50; i++) sum += Math.exp((-0.5 * (low + ((i + 0.5) * (high - low)) / 50) ** 2) / this.xx);
    return (sum * (high - low)) / 50 / Math.sqrt(2 * Math.PI * this.xx);
  }
}
