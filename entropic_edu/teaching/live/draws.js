// A seeded source of random numbers for pages: the same seed gives the same run in every browser and in Node.

/** sfc32 (Doty-Humphrey 2010; passes PractRand), its state filled from the seed by splitmix32. */
export function seeded(seed) {
  let fill = seed >>> 0;
  const mixed = () => {
    fill = (fill + 0x9e3779b9) | 0;
    let z = fill;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = mixed(), b = mixed(), c = mixed(), counter = 1, spare = NaN;

  function bits() { // 32 of them, as an integer from 0
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return t >>> 0;
  }

  /** A number inside (0, 1), never an end: its logarithm is finite. */
  const uniform = () => (bits() + 0.5) / 4294967296;

  /** A standard normal number (Box and Muller 1958), two for each pair of uniform ones. */
  function normal() {
    if (spare === spare) {
      const kept = spare;
      spare = NaN;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  for (let i = 0; i < 12; i++) bits(); // seeds that are neighbours part
  return { uniform, normal, integer: (n) => Math.floor(uniform() * n) };
}
