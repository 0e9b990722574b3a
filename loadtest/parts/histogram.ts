// Latencies in a log-linear histogram: takes whole microseconds, gives quantiles that are at most 0.8 % too high. A fixed
// 25 KB whatever it counts, so several of them (one a process, one a machine) add up to what one would have seen.

/** Each power of two is cut into so many buckets: 1/128 is the largest relative error. */
const steps = 128;
const stepBits = 7;
const buckets = 25 * steps;

/** The longest time that is told apart: 2^31 µs, 35 minutes. */
const most = 2 ** 31 - 1;

/** A histogram as JSON: pairs of bucket and count, and the extremes. */
export interface HistogramData {
  readonly counts: readonly (readonly [number, number])[];
  readonly least: number;
  readonly most: number;
  readonly sum: number;
}

function bucketOf(value: number): number {
  if (value < 2 * steps) return value;
  const shift = 31 - Math.clz32(value) - stepBits;
  return shift * steps + (value >>> shift);
}

/** The highest value that falls into a bucket. */
function topOf(bucket: number): number {
  if (bucket < 2 * steps) return bucket;
  const shift = Math.floor(bucket / steps) - 1;
  return (bucket - shift * steps + 1) * 2 ** shift - 1;
}

export class Histogram {
  readonly #counts = new Float64Array(buckets);
  #count = 0;
  #sum = 0;
  #least = Infinity;
  #most = 0;

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get max(): number {
    return this.#most;
  }

  /** @param micros microseconds; below 0 counts as 0, above 35 minutes as 35 minutes */
  record(micros: number): void {
    const value = Math.min(most, Math.max(0, Math.round(micros)));
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sum += value;
    if (value < this.#least) this.#least = value;
    if (value > this.#most) this.#most = value;
  }

  /** The value that the share `q` (0 to 1) of all values does not exceed; 0 when there are none. */
  quantile(q: number): number {
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= rank) return Math.min(this.#most, Math.max(this.#least, topOf(bucket)));
    }
    return this.#most;
  }

  /** Adds all that another one has counted. */
  merge(other: HistogramData): void {
    for (const [bucket, count] of other.counts) {
      if (!(bucket >= 0 && bucket < buckets)) throw new Error(`a histogram has no bucket ${bucket}`);
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
      this.#count += count;
    }
    this.#sum += other.sum;
    if (other.counts.length === 0) return;
    this.#least = Math.min(this.#least, other.least);
    this.#most = Math.max(this.#most, other.most);
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = this.#sum = this.#most = 0;
    this.#least = Infinity;
  }

  toJSON(): HistogramData {
    const counts = [...this.#counts.entries()].filter(([, count]) => count > 0);
    return { counts, least: this.#count === 0 ? 0 : this.#least, most: this.#most, sum: this.#sum };
  }
}

/** The quantiles that people look at, by name, in milliseconds. */
export function quantiles(histogram: Histogram): Readonly<Record<string, number>> {
  const named = { median: 0.5, '90 %': 0.9, '99 %': 0.99, '99.9 %': 0.999, '99.99 %': 0.9999, worst: 1 };
  return Object.fromEntries(Object.entries(named).map(([name, q]) => [name, histogram.quantile(q) / 1000]));
}
