// A network let go on a road between two minima, and trained: the steps of ee.drift and ee.train, for Node and a worker.

import { dimension, network, reordered } from "./digits.js";
import { seeded } from "./draws.js";

// --- the road -------------------------------------------------------------------------------------------------------

const dot = (a, b, from, to) => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += a[i] * b[i];
  return sum;
};

/**
 * A polyline through parameter space, with positions in [0, 1] by arc length: points that are mixtures of a few pivots,
 * each hidden layer at the norm that the ends have there. pivots (P, dim) in torch's order, mixture (points, P).
 */
export function road({ widths, pivots, mixture }) {
  const dim = dimension(widths), few = pivots.length / dim, many = mixture.length / few;
  const base = Array.from({ length: few }, (_, k) => reordered(pivots.subarray(k * dim, (k + 1) * dim), widths));
  const edges = [0]; // of the layers; all after the last hidden one is one block
  for (let l = 1; l + 1 < widths.length; l++) edges.push(edges[l - 1] + widths[l - 1] * widths[l]);
  edges.push(dim);
  const blocks = edges.length - 1;
  const points = Array.from({ length: many }, () => new Float64Array(dim));
  const factors = new Float64Array(many * blocks).fill(1);

  points.forEach((point, p) => base.forEach((pivot, k) => {
    for (let i = 0; i < dim; i++) point[i] += mixture[p * few + k] * pivot[i];
  }));
  let [marks] = measured(points);
  for (let b = 0; b + 1 < blocks; b++) {
    const norms = points.map((point) => Math.sqrt(dot(point, point, edges[b], edges[b + 1])));
    points.forEach((point, p) => {
      const factor = (norms[0] + marks[p] * (norms[many - 1] - norms[0])) / norms[p];
      factors[p * blocks + b] = factor;
      for (let i = edges[b]; i < edges[b + 1]; i++) point[i] *= factor;
    });
  }
  let length;
  [marks, length] = measured(points);
  const own = points.map((point) => dot(point, point, 0, dim));
  const next = points.slice(1).map((point, p) => dot(point, points[p], 0, dim));
  const parts = new Float64Array(blocks * few), against = new Float64Array(many);

  /** The nearest point: its position, and the distance to it. */
  function project(theta) {
    for (let b = 0; b < blocks; b++) {
      for (let k = 0; k < few; k++) parts[b * few + k] = dot(theta, base[k], edges[b], edges[b + 1]);
    }
    for (let p = 0; p < many; p++) {
      let sum = 0;
      for (let b = 0; b < blocks; b++) {
        const factor = factors[p * blocks + b];
        for (let k = 0; k < few; k++) sum += factor * mixture[p * few + k] * parts[b * few + k];
      }
      against[p] = sum;
    }
    const size = dot(theta, theta, 0, dim);
    let least = Infinity, position = 0;
    for (let p = 0; p + 1 < many; p++) {
      const square = own[p] + own[p + 1] - 2 * next[p];
      const cross = against[p + 1] - against[p] - next[p] + own[p];
      const along = Math.min(1, Math.max(0, cross / square));
      const away = size - 2 * against[p] + own[p] - along * (2 * cross - along * square);
      if (away >= least) continue;
      least = away;
      position = marks[p] + along * (marks[p + 1] - marks[p]);
    }
    return { position, distance: Math.sqrt(Math.max(0, least)) };
  }

  /** The number of the segment that holds a position. */
  function segment(position) {
    let p = 0;
    while (p + 2 < many && marks[p + 1] <= position) p++;
    return p;
  }

  /** Writes the point at a position to theta. */
  function at(position, theta) {
    const p = segment(position), along = (position - marks[p]) / (marks[p + 1] - marks[p]);
    for (let i = 0; i < dim; i++) theta[i] = points[p][i] + along * (points[p + 1][i] - points[p][i]);
  }

  /** Leaves of a momentum its part along the road at a position. */
  function keepAlong(position, momentum) {
    const p = segment(position), [a, b] = [points[p], points[p + 1]];
    let along = 0;
    for (let i = 0; i < dim; i++) along += momentum[i] * (b[i] - a[i]);
    along /= own[p] + own[p + 1] - 2 * next[p];
    for (let i = 0; i < dim; i++) momentum[i] = along * (b[i] - a[i]);
  }

  return { dim, length, marks, points, project, at, keepAlong };
}

/** The position of each point of a polyline, and its length. */
function measured(points) {
  const sums = [0];
  for (let p = 1; p < points.length; p++) {
    let square = 0;
    for (let i = 0; i < points[p].length; i++) square += (points[p][i] - points[p - 1][i]) ** 2;
    sums.push(sums[p - 1] + Math.sqrt(square));
  }
  const length = sums.at(-1);
  return [sums.map((sum) => sum / length), length];
}

// --- steps ----------------------------------------------------------------------------------------------------------

/** A step of heavy ball: v ← m v + gradient, θ ← θ - η v. */
function step(net, theta, velocity, picks, drawn, rate, momentum) {
  net.gradient(theta, picks, drawn, velocity, momentum);
  for (let i = 0; i < theta.length; i++) theta[i] -= rate * velocity[i];
}

/** Replaces each picked sample's label by one drawn from all classes with the chance that the network's data say. */
function drawLabels(net, picks, drawn, draws) {
  for (let i = 0; i < picks.length; i++) {
    drawn[i] = draws.uniform() < net.labelNoise ? draws.integer(net.classes) : net.labels[picks[i]];
  }
}

/**
 * Walkers that are let go on a road, one for each of starts: k = every free steps of noisy descent, then back to the
 * nearest point with only the momentum along the road. A batchSize of null takes all data, without noise. Each walker
 * has draws of its own, by seed and its number: how walkers are shared among workers changes nothing.
 */
export function release(net, way, { starts, numbers, seed, batchSize, learningRate, momentum, every }) {
  const radius = 0.1 * way.length;
  const picks = batchSize && new Int32Array(batchSize), drawn = batchSize && new Uint8Array(batchSize);
  const walkers = starts.map((start, i) => {
    const theta = new Float64Array(net.dim);
    way.at(start, theta);
    return { theta, velocity: new Float64Array(net.dim), draws: seeded(1000 * seed + (numbers ? numbers[i] : i)) };
  });
  const position = Float64Array.from(starts), distance = new Float64Array(starts.length);
  const outside = new Float64Array(starts.length); // projections that found a walker far from the road
  let taken = 0;

  /** k free steps and the projection. */
  function stretch() {
    walkers.forEach(({ theta, velocity, draws }, w) => {
      for (let free = 0; free < every; free++) {
        if (batchSize) {
          for (let i = 0; i < batchSize; i++) picks[i] = draws.integer(net.samples);
          drawLabels(net, picks, drawn, draws);
        }
        step(net, theta, velocity, picks, drawn, learningRate, momentum);
      }
      const nearest = way.project(theta);
      position[w] = nearest.position;
      distance[w] = nearest.distance;
      outside[w] += nearest.distance > radius;
      way.at(nearest.position, theta);
      way.keepAlong(nearest.position, velocity);
    });
    taken += every;
  }

  return { stretch, position, distance, outside, walkers, get step() { return taken; } };
}

/** Trains a network from torch's first weights; report(step, loss, accuracy) is called from time to time. */
export function train(net, { seed, steps, batchSize, learningRate, momentum, looks }, report) {
  const draws = seeded(seed), theta = new Float64Array(net.dim), velocity = new Float64Array(net.dim);
  const picks = new Int32Array(batchSize), drawn = new Uint8Array(batchSize);
  const order = Int32Array.from({ length: net.samples }, (_, i) => i);
  let at = 0, next = net.samples; // the next sample of the epoch
  net.widths.slice(1).forEach((outputs, l) => {
    const inputs = net.widths[l], count = inputs * outputs + (l + 2 === net.widths.length ? outputs : 0);
    for (const end = at + count; at < end; at++) theta[at] = (2 * draws.uniform() - 1) / Math.sqrt(inputs);
  });
  const look = (taken) => {
    const { loss, accuracy } = net.measure(theta);
    report(taken, loss, accuracy);
  };
  look(0);
  for (let taken = 1; taken <= steps; taken++) {
    if (next + batchSize > net.samples) { // what is left of an epoch is dropped
      for (let i = order.length - 1; i > 0; i--) {
        const j = draws.integer(i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      next = 0;
    }
    for (let i = 0; i < batchSize; i++) picks[i] = order[next++];
    drawLabels(net, picks, drawn, draws);
    const cuts = [0.3, 0.6, 0.8, 0.9].filter((mark) => taken - 1 >= mark * steps).length; // of the rate, to a fifth each
    step(net, theta, velocity, picks, drawn, learningRate * 0.2 ** cuts, momentum);
    if (taken % Math.ceil(steps / looks) === 0 || taken === steps) look(taken);
  }
  return theta;
}

/** The loss on the straight line from one network to another, at evenly spaced points, both ends included. */
export function line(net, a, b, points) {
  const theta = new Float64Array(net.dim);
  return Array.from({ length: points }, (_, p) => {
    const share = p / (points - 1);
    for (let i = 0; i < net.dim; i++) theta[i] = a[i] + share * (b[i] - a[i]);
    return net.measure(theta).loss;
  });
}

// --- what comes as bytes --------------------------------------------------------------------------------------------

/** Numbers of half precision, as bytes with the lowest first. */
export function halves(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.byteLength / 2 }, (_, i) => {
    const bits = view.getUint16(2 * i, true), power = (bits >> 10) & 31, rest = bits & 1023;
    const size = power ? (1 + rest / 1024) * 2 ** (power - 15) : rest * 2 ** -24;
    return bits >> 15 ? -size : size;
  });
}

/** Network and road of a packed release: pixels (bytes from 0 to 16), labels, pivots (half precision), mixture. */
export function unpacked({ widths, pixels, labels, pivots, mixture, labelNoise, weightDecay }) {
  const inputs = Float64Array.from(pixels, (pixel) => pixel / 16);
  const net = network({ widths, inputs, labels, labelNoise, weightDecay });
  return { net, way: pivots && road({ widths, pivots: halves(pivots), mixture }) };
}

// --- in a worker ----------------------------------------------------------------------------------------------------

/** Answers a worker's messages: the packed data first, then releases {walk: jobs} and trainings {train: settings}. */
export function serve(scope) {
  let place = null;
  const walk = (jobs) => {
    const going = jobs.map((job) => ({ ...job, crowd: release(place.net, place.way, job) }));
    while (true) { // the one that is behind goes on, by its share of the way
      const open = going.filter(({ crowd, steps }) => crowd.step < steps);
      if (!open.length) break;
      const { id, crowd } = open.reduce((a, b) => (b.crowd.step / b.steps < a.crowd.step / a.steps ? b : a));
      crowd.stretch();
      scope.postMessage({ id, step: crowd.step, position: [...crowd.position], outside: [...crowd.outside] });
    }
  };
  scope.onmessage = ({ data }) => {
    if (data.packed) place = unpacked(data.packed);
    if (data.walk) walk(data.walk);
    if (data.train) {
      const told = (step, loss, accuracy) => scope.postMessage({ id: data.train.id, step, loss, accuracy });
      scope.postMessage({ id: data.train.id, theta: train(place.net, data.train, told) });
    }
    if (data.line) scope.postMessage({ losses: line(place.net, data.line[0], data.line[1], data.points) });
    scope.postMessage({ done: true });
  };
}
