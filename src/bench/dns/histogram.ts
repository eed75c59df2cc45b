/** Times in microseconds, with 1/32 of precision: 32 steps for each power of two. */
export class Histogram {
  readonly counts = new Uint32Array(32 * 28);
  total = 0;

  add(us: number): void {
    this.counts[placeOf(us)]!++;
    this.total++;
  }

  /** The time that this part of all did not exceed; NaN without any. @param part e.g. 0.99 */
  quantile(part: number): number {
    let left = Math.ceil(part * this.total);
    for (let i = 0; i < this.counts.length; i++) {
      left -= this.counts[i]!;
      if (left <= 0 && this.total > 0) return timeOf(i);
    }
    return Number.NaN;
  }
}

function placeOf(us: number): number {
  const value = us < 0 ? 0 : us > 0x7fffffff ? 0x7fffffff : us | 0;
  if (value < 64) return value;
  const shift = 26 - Math.clz32(value);
  return (shift << 5) + (value >> shift);
}

/** The middle of a step. */
function timeOf(place: number): number {
  if (place < 64) return place + 0.5;
  const shift = (place >> 5) - 1;
  return ((place & 31) + 32.5) * 2 ** shift;
}
