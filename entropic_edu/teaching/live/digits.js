// A network on handwritten digits, with its gradient written out, for Node and for a worker. It is the story's: linear
// layers without bias, each normalised and cut at zero, and a last one with bias. Weights lie input by input (torch has
// them output by output): sums then run along rows, and inputs that are zero are left out.

const EPSILON = 1e-5; // of torch's LayerNorm
const CHUNK = 32; // samples that pass the network together

/** Number of parameters of a network. */
export function dimension(widths) {
  let total = widths.at(-1);
  for (let l = 1; l < widths.length; l++) total += widths[l - 1] * widths[l];
  return total;
}

/** A parameter vector in torch's order in this module's, or back: it changes rows and columns of each matrix. */
export function reordered(theta, widths, back = false) {
  const out = new Float64Array(theta.length);
  let at = 0;
  for (let l = 1; l < widths.length; l++) {
    const [inputs, outputs] = [widths[l - 1], widths[l]];
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < outputs; o++) {
        const [here, there] = [at + i * outputs + o, at + o * inputs + i];
        if (back) out[there] = theta[here];
        else out[here] = theta[there];
      }
    }
    at += inputs * outputs;
  }
  for (; at < theta.length; at++) out[at] = theta[at];
  return out;
}

const listed = new Int32Array(256), weighed = new Float64Array(256); // offsets and values of what is not zero

/** Lists the values a[from], a[from + stride], ... that are not zero, each with the offset of its row; returns how many. */
function list(a, from, stride, count, at, n) {
  let many = 0;
  for (let i = 0, here = from; i < count; i = (i + 1) | 0, here = (here + stride) | 0) {
    const value = a[here];
    listed[many] = (at + Math.imul(i, n)) | 0; // written over where the value is zero: cheaper than a jump
    weighed[many] = value;
    many = (many + (value !== 0)) | 0;
  }
  return many;
}

/** Adds the listed rows of w, each times its value, to the n numbers of out that begin at to; eight stay in registers. */
function combine(many, w, n, out, to) {
  let j = 0;
  for (; j + 7 < n; j = (j + 8) | 0) {
    const o = (to + j) | 0;
    let s0 = out[o], s1 = out[(o + 1) | 0], s2 = out[(o + 2) | 0], s3 = out[(o + 3) | 0];
    let s4 = out[(o + 4) | 0], s5 = out[(o + 5) | 0], s6 = out[(o + 6) | 0], s7 = out[(o + 7) | 0];
    for (let q = 0; q < many; q = (q + 1) | 0) {
      const v = weighed[q], b = (listed[q] + j) | 0;
      s0 += v * w[b];
      s1 += v * w[(b + 1) | 0];
      s2 += v * w[(b + 2) | 0];
      s3 += v * w[(b + 3) | 0];
      s4 += v * w[(b + 4) | 0];
      s5 += v * w[(b + 5) | 0];
      s6 += v * w[(b + 6) | 0];
      s7 += v * w[(b + 7) | 0];
    }
    out[o] = s0;
    out[(o + 1) | 0] = s1;
    out[(o + 2) | 0] = s2;
    out[(o + 3) | 0] = s3;
    out[(o + 4) | 0] = s4;
    out[(o + 5) | 0] = s5;
    out[(o + 6) | 0] = s6;
    out[(o + 7) | 0] = s7;
  }
  for (; j < n; j = (j + 1) | 0) {
    let sum = out[(to + j) | 0];
    for (let q = 0; q < many; q = (q + 1) | 0) sum += weighed[q] * w[(listed[q] + j) | 0];
    out[(to + j) | 0] = sum;
  }
}

/** out (rows, n) = a (rows, k) times the matrix (k, n) that begins at w[at]. */
function multiply(a, rows, k, w, at, n, out) {
  out.fill(0, 0, rows * n);
  for (let row = 0; row < rows; row++) combine(list(a, row * k, 1, k, at, n), w, n, out, row * n);
}

/** Adds a (rows, k) transposed times d (rows, n) to the matrix (k, n) that begins at g[at]. */
function outer(a, d, rows, k, n, g, at) {
  for (let i = 0; i < k; i++) combine(list(a, i, k, rows, 0, n), d, n, g, at + i * n);
}

/** The slope (rows, k) at the inputs of a layer from that at its outputs, d (rows, n), where an input was not cut. */
function back(d, rows, n, w, at, k, a, out) {
  out.fill(0, 0, rows * k);
  for (let row = 0; row < rows; row++) {
    const many = list(a, row * k, 1, k, at, n), from = Math.imul(row, n), to = Math.imul(row, k);
    for (let q = many; q < many + 3; q++) listed[q] = at; // filled up to a multiple of four
    for (let q = 0; q < many; q = (q + 4) | 0) {
      const w0 = listed[q], w1 = listed[q + 1], w2 = listed[q + 2], w3 = listed[q + 3];
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let j = 0; j < n; j = (j + 1) | 0) {
        const v = d[(from + j) | 0];
        s0 += v * w[(w0 + j) | 0];
        s1 += v * w[(w1 + j) | 0];
        s2 += v * w[(w2 + j) | 0];
        s3 += v * w[(w3 + j) | 0];
      }
      weighed[q] = s0;
      weighed[q + 1] = s1;
      weighed[q + 2] = s2;
      weighed[q + 3] = s3;
    }
    for (let q = 0; q < many; q++) out[to + (listed[q] - at) / n] = weighed[q];
  }
}

/** Normalises each row of z (rows, n) in place, keeps 1 over its spread, and cuts at zero into h. */
function normalise(z, rows, n, scale, h) {
  for (let row = 0; row < rows; row++) {
    const at = row * n;
    let mean = 0, square = 0;
    for (let j = 0; j < n; j++) mean += z[at + j];
    mean /= n;
    for (let j = 0; j < n; j++) square += (z[at + j] - mean) * (z[at + j] - mean);
    const by = 1 / Math.sqrt(square / n + EPSILON);
    scale[row] = by;
    for (let j = 0; j < n; j++) {
      const value = (z[at + j] - mean) * by;
      z[at + j] = value;
      h[at + j] = value > 0 ? value : 0;
    }
  }
}

/** The slope before a normalisation, in place of d (rows, n), from that after it. */
function unnormalise(d, z, rows, n, scale) {
  for (let row = 0; row < rows; row++) {
    const at = row * n;
    let mean = 0, along = 0;
    for (let j = 0; j < n; j++) {
      mean += d[at + j];
      along += d[at + j] * z[at + j];
    }
    mean /= n;
    along /= n;
    for (let j = 0; j < n; j++) d[at + j] = scale[row] * (d[at + j] - mean - z[at + j] * along);
  }
}

/**
 * A network and its data as a landscape: the mean of cross-entropy over samples, plus half the weight decay times |θ|².
 * data: widths, inputs (N, widths[0]), labels (N), labelNoise (the chance that a drawn label is drawn anew), weightDecay.
 */
export function network(data) {
  const { widths, inputs, labels, labelNoise, weightDecay } = data;
  const samples = labels.length, layers = widths.length - 1, classes = widths[layers], dim = dimension(widths);
  const all = Int32Array.from({ length: samples }, (_, i) => i);
  const held = widths.map((n) => new Float64Array(CHUNK * n)); // inputs of each layer, and outputs
  const normed = widths.map((n) => new Float64Array(CHUNK * n));
  const slope = widths.map((n) => new Float64Array(CHUNK * n));
  const scale = widths.map(() => new Float64Array(CHUNK));
  const starts = [0];
  for (let l = 1; l <= layers; l++) starts.push(starts[l - 1] + widths[l - 1] * widths[l]);

  /** Passes samples through the network; outputs are in held[layers]. */
  function forward(theta, picks, first, rows) {
    const [x] = held, width = widths[0];
    for (let row = 0; row < rows; row++) {
      const from = picks[first + row] * width;
      for (let i = 0; i < width; i++) x[row * width + i] = inputs[from + i];
    }
    for (let l = 1; l < layers; l++) {
      multiply(held[l - 1], rows, widths[l - 1], theta, starts[l - 1], widths[l], normed[l]);
      normalise(normed[l], rows, widths[l], scale[l], held[l]);
    }
    multiply(held[layers - 1], rows, widths[layers - 1], theta, starts[layers - 1], classes, held[layers]);
    const out = held[layers], bias = starts[layers];
    for (let row = 0; row < rows; row++) for (let c = 0; c < classes; c++) out[row * classes + c] += theta[bias + c];
  }

  /** Returns the summed loss of the rows; drawn labels, or smoothed ones (the mean over draws) where drawn is null. */
  function score(picks, drawn, first, rows, share) {
    const out = held[layers], d = slope[layers];
    const rest = drawn ? 0 : labelNoise / classes, kept = drawn ? 1 : 1 - labelNoise;
    let loss = 0;
    for (let row = 0; row < rows; row++) {
      const at = row * classes, label = drawn ? drawn[first + row] : labels[picks[first + row]];
      let most = -Infinity, sum = 0, mean = 0;
      for (let c = 0; c < classes; c++) most = Math.max(most, out[at + c]);
      for (let c = 0; c < classes; c++) {
        d[at + c] = Math.exp(out[at + c] - most);
        sum += d[at + c];
        mean += out[at + c];
      }
      loss += most + Math.log(sum) - kept * out[at + label] - rest * mean;
      for (let c = 0; c < classes; c++) d[at + c] = (d[at + c] / sum - rest - (c === label ? kept : 0)) * share;
    }
    return loss;
  }

  /**
   * Writes keep times g plus the gradient of the objective on some samples to g: the momentum of heavy ball, or with
   * keep = 0 the gradient. Null picks are all samples, and null drawn labels the mean over draws. Returns their mean loss.
   */
  function gradient(theta, picks, drawn, g, keep = 0) {
    const chosen = picks || all, count = chosen.length;
    let loss = 0;
    for (let i = 0; i < dim; i++) g[i] = keep * g[i] + weightDecay * theta[i];
    for (let first = 0; first < count; first += CHUNK) {
      const rows = Math.min(CHUNK, count - first);
      forward(theta, chosen, first, rows);
      loss += score(chosen, drawn, first, rows, 1 / count);
      const top = slope[layers], bias = starts[layers];
      for (let row = 0; row < rows; row++) for (let c = 0; c < classes; c++) g[bias + c] += top[row * classes + c];
      for (let l = layers; l > 0; l--) {
        if (l < layers) unnormalise(slope[l], normed[l], rows, widths[l], scale[l]);
        outer(held[l - 1], slope[l], rows, widths[l - 1], widths[l], g, starts[l - 1]);
        if (l > 1) back(slope[l], rows, widths[l], theta, starts[l - 1], widths[l - 1], held[l - 1], slope[l - 1]);
      }
    }
    return loss / count;
  }

  /** The mean loss on all samples, over the draws of labels too, without weight decay; and the share of right ones. */
  function measure(theta) {
    let loss = 0, right = 0;
    for (let first = 0; first < samples; first += CHUNK) {
      const rows = Math.min(CHUNK, samples - first), out = held[layers];
      forward(theta, all, first, rows);
      loss += score(all, null, first, rows, 1);
      for (let row = 0; row < rows; row++) {
        let best = 0;
        for (let c = 1; c < classes; c++) if (out[row * classes + c] > out[row * classes + best]) best = c;
        right += best === labels[first + row];
      }
    }
    return { loss: loss / samples, accuracy: right / samples };
  }

  return { dim, samples, classes, widths, labels, labelNoise, gradient, measure };
}
