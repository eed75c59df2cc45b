import { AllocationError } from './allocation-error.ts';

export interface PortRange {
  first: number;
  last: number;
}

/** SA3: `min(max(16, size/32), 128)` ports are left for those who ask by number. */
const staticBand = (size: number): number => Math.min(Math.max(16, Math.floor(size / 32)), 128);

/** Node ports. A number belongs to one Service, whatever the protocol, as in the real server. */
export class PortAllocator {
  readonly range: PortRange;
  readonly #used = new Set<number>();
  readonly #random: () => number;

  constructor(range: PortRange, random: () => number = Math.random) {
    this.range = range;
    this.#random = random;
  }

  get used(): number {
    return this.#used.size;
  }

  /** @throws AllocationError */
  take(port: number): void {
    const { first, last } = this.range;
    if (port < first || port > last)
      throw new AllocationError(`provided port is not in the valid range. The range of valid ports is ${first}-${last}`);
    if (this.#used.has(port)) throw new AllocationError('provided port is already allocated');
    this.#used.add(port);
  }

  /** @throws AllocationError when all are in use */
  takeNext(): number {
    const { first, last } = this.range;
    const size = last - first + 1;
    const low = Math.min(staticBand(size), size);
    const port = this.#find(first + low, last) ?? this.#find(first, first + low - 1);
    if (port === undefined) throw new AllocationError('range is full');
    this.#used.add(port);
    return port;
  }

  release(port: number): void {
    this.#used.delete(port);
  }

  #find(first: number, last: number): number | undefined {
    const size = last - first + 1;
    if (size <= 0) return undefined;
    const start = Math.floor(this.#random() * size);
    for (let step = 0; step < size; step++) {
      const port = first + ((start + step) % size);
      if (!this.#used.has(port)) return port;
    }
    return undefined;
  }
}
