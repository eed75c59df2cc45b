import type { EndpointSlice, Service } from '../kube/types.ts';

/** `service default/web` */
export const ownerOf = (namespace: string | undefined, name: string): string => `service ${namespace ?? 'default'}/${name}`;

const serviceNameLabel = 'kubernetes.io/service-name';
const headlessLabel = 'service.kubernetes.io/headless';

/** A Service with its slices, whichever came first. */
export interface ServiceObject {
  service: Service | undefined;
  slices: EndpointSlice[];
}

/** Services and EndpointSlices by owner, fed in any order, and which of them changed. */
export class ServiceObjects {
  readonly #objects = new Map<string, ServiceObject>();
  /** Which Service each slice belongs to. */
  readonly #ownerOfSlice = new Map<string, string>();
  readonly #changed = new Set<string>();

  setService(service: Service): void {
    const owner = ownerOf(service.metadata.namespace, service.metadata.name ?? '');
    this.#object(owner).service = service;
    this.#changed.add(owner);
  }

  deleteService(namespace: string, name: string): void {
    const owner = ownerOf(namespace, name);
    const object = this.#objects.get(owner);
    if (!object) return;
    object.service = undefined;
    this.#changed.add(owner);
  }

  setSlice(slice: EndpointSlice): void {
    const key = `${slice.metadata.namespace ?? 'default'}/${slice.metadata.name}`;
    const { labels } = slice.metadata;
    const service = labels?.[headlessLabel] === undefined ? labels?.[serviceNameLabel] : undefined;
    const owner = service === undefined ? undefined : ownerOf(slice.metadata.namespace, service);
    const before = this.#ownerOfSlice.get(key);
    if (before !== undefined && before !== owner) this.#dropSlice(key, slice.metadata.name, before);
    if (owner === undefined) return;
    this.#ownerOfSlice.set(key, owner);
    const { slices } = this.#object(owner);
    const place = slices.findIndex(({ metadata }) => metadata.name === slice.metadata.name);
    if (place < 0) slices.push(slice);
    else slices[place] = slice;
    this.#changed.add(owner);
  }

  deleteSlice(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const owner = this.#ownerOfSlice.get(key);
    if (owner !== undefined) this.#dropSlice(key, name, owner);
  }

  get(owner: string): ServiceObject | undefined {
    return this.#objects.get(owner);
  }

  owners(): Iterable<string> {
    return this.#objects.keys();
  }

  mark(owner: string): void {
    this.#changed.add(owner);
  }

  /** Owners that changed since the last call. Those that nothing is left of are forgotten. */
  takeChanged(): string[] {
    const owners = [...this.#changed];
    this.#changed.clear();
    for (const owner of owners) {
      const object = this.#objects.get(owner);
      if (object && !object.service && object.slices.length === 0) this.#objects.delete(owner);
    }
    return owners;
  }

  #object(owner: string): ServiceObject {
    let object = this.#objects.get(owner);
    if (!object) this.#objects.set(owner, (object = { service: undefined, slices: [] }));
    return object;
  }

  #dropSlice(key: string, name: string | undefined, owner: string): void {
    this.#ownerOfSlice.delete(key);
    const object = this.#objects.get(owner);
    if (object) object.slices = object.slices.filter(({ metadata }) => metadata.name !== name);
    this.#changed.add(owner);
  }
}
