/** What was counted: of each class, and its upper bounds. */
export interface HistogramCounts {
  bounds: readonly number[];
  counts: ArrayLike<number>;
  sum: number;
}

/** Counts values by size. Most are small: bounds are searched from below. */
export class Histogram implements HistogramCounts {
  /** Upper bounds, each inclusive, ascending. */
  readonly bounds: readonly number[];
  /** Not cumulative; one more than bounds for what is above all. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param weight how many values this one stands for */
  observe(value: number, weight = 1): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at++;
    counts[at]! += weight;
    this.sum += value * weight;
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }
}

/** The bounds of CoreDNS' metrics plugin, so that its dashboards fit: sizes in bytes, times in seconds. */
export const sizeBounds: readonly number[] = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];
export const timeBounds: readonly number[] = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
