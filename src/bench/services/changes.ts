import { endpointAddressOf, serviceOf, type Size, slicedAddresses, sliceOf } from '../objects.ts';

/**
 * What happens to a Service of some endpoints:
 * - replace: a pod is replaced by another one
 * - scale-up, scale-down: one endpoint more or one less
 * - add, remove: a Service with its endpoints comes or goes
 */
export type ChangeKind = 'replace' | 'scale-up' | 'scale-down' | 'add' | 'remove';
export const changeKinds: readonly ChangeKind[] = ['replace', 'scale-up', 'scale-down', 'add', 'remove'];
/** grow: a number of endpoints that no other Service has: 90 more at once. Reported apart. */
export type MeasuredKind = ChangeKind | 'grow';
export const measuredKinds: readonly MeasuredKind[] = [...changeKinds, 'grow'];
const growth = 90;

/** An event of a watch. */
export interface WatchLine {
  resource: 'Service' | 'EndpointSlice';
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  line: string;
  /** Else it only leads there or back. */
  isMeasured: boolean;
}

/** Events of a cluster that goes on living, one change after the other, at Services spread over all of them. */
export class Changes {
  readonly #size: Size;
  #version = 2;
  #service = 0;
  #fresh: number;

  constructor(size: Size) {
    this.#size = size;
    this.#fresh = size.endpoints;
  }

  /** A change that is measured, and what takes it back. */
  next(kind: MeasuredKind): WatchLine[] {
    const { services } = this.#size;
    // A step that has no divisor in common with any of the sizes visits all of them.
    this.#service = (this.#service + 7919) % services;
    switch (kind) {
      case 'replace':
        return this.#replace(this.#service);
      case 'scale-up':
      case 'scale-down':
        return this.#scale(this.#service, kind);
      case 'grow':
        return this.#grow(this.#service);
      case 'add':
      case 'remove':
        return this.#come(services + (this.#service % 100), kind);
    }
  }

  #slice(type: WatchLine['type'], service: number, addresses: readonly string[], isMeasured: boolean): WatchLine {
    const object = sliceOf(service, 0, addresses, this.#version++);
    return { resource: 'EndpointSlice', type, line: JSON.stringify(object), isMeasured };
  }

  #replace(service: number): WatchLine[] {
    const addresses = slicedAddresses(this.#size, service)[0]!;
    const other = [...addresses.slice(1), endpointAddressOf(this.#fresh)];
    return [this.#slice('MODIFIED', service, other, true), this.#slice('MODIFIED', service, addresses, true)];
  }

  #scale(service: number, kind: ChangeKind): WatchLine[] {
    const addresses = slicedAddresses(this.#size, service)[0]!;
    const more = [...addresses, endpointAddressOf(this.#fresh)];
    return [
      this.#slice('MODIFIED', service, more, kind === 'scale-up'),
      this.#slice('MODIFIED', service, addresses, kind === 'scale-down'),
    ];
  }

  #grow(service: number): WatchLine[] {
    const addresses = slicedAddresses(this.#size, service)[0]!;
    const more = [...addresses, ...Array.from({ length: growth }, (_, i) => endpointAddressOf(this.#fresh + i))];
    return [this.#slice('MODIFIED', service, more, true), this.#slice('MODIFIED', service, addresses, false)];
  }

  #come(service: number, kind: ChangeKind): WatchLine[] {
    const addresses = Array.from({ length: Math.max(1, Math.round(this.#size.endpoints / this.#size.services)) }, (_, i) =>
      endpointAddressOf(this.#fresh + 1 + i),
    ).slice(0, 100);
    const line = JSON.stringify(serviceOf(service, this.#version++));
    return [
      this.#slice('ADDED', service, addresses, false),
      { resource: 'Service', type: 'ADDED', line, isMeasured: kind === 'add' },
      { resource: 'Service', type: 'DELETED', line, isMeasured: kind === 'remove' },
      this.#slice('DELETED', service, addresses, false),
    ];
  }
}
