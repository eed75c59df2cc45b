import type { EndpointSlice, Service } from '../kube/types.ts';

/** `service default/web` */
export const ownerOf = (namespace: string | undefined, name: string): string => `service ${namespace ?? 'default'}/${name}`;

const serviceNameLabel = 'kubernetes.io/service-name';
const none: readonly EndpointSlice[] = [];

const headlessLabel = 'service.kubernetes.io/headless';

/** A Service with its slices, whichever came first, and what was planned of them. */
export interface ServiceObject<Plan> {
  service: Service | undefined;
  slices: readonly EndpointSlice[];
  plan: Plan | undefined;
}

/** Services and EndpointSlices by owner, fed in any order, and which of them changed. */
export class ServiceObjects<Plan> {
  readonly #objects = new Map<string, ServiceObject<Plan>>();
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
    const object = this.#object(owner);
    const place = object.slices.findIndex(({ metadata }) => metadata.name === slice.metadata.name);
    // As long as it is, and not a bit longer, as an array that grows would be.
    object.slices = place < 0 ? [...object.slices, slice] : object.slices.with(place, slice);
    this.#changed.add(owner);
  }

  deleteSlice(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const owner = this.#ownerOfSlice.get(key);
    if (owner !== undefined) this.#dropSlice(key, name, owner);
  }

  get(owner: string): ServiceObject<Plan> | undefined {
    return this.#objects.get(owner);
  }

  owners(): Iterable<string> {
    return this.#objects.keys();
  }

  mark(owner: string): void {
    this.#changed.add(owner);
  }

  /** Owners that changed since the last call. */
  takeChanged(): string[] {
    const owners = [...this.#changed];
    this.#changed.clear();
    return owners;
  }

  /** One that nothing is left of is forgotten. */
  tidy(owner: string): void {
    const object = this.#objects.get(owner);
    if (object && !object.service && object.slices.length === 0) this.#objects.delete(owner);
  }

  #object(owner: string): ServiceObject<Plan> {
    let object = this.#objects.get(owner);
    if (!object) this.#objects.set(owner, (object = { service: undefined, slices: none, plan: undefined }));
    return object;
  }

  #dropSlice(key: string, name: string | undefined, owner: string): void {
    this.#ownerOfSlice.delete(key);
    const object = this.#objects.get(owner);
    if (object) object.slices = object.slices.filter(({ metadata }) => metadata.name !== name);
    this.#changed.add(owner);
  }
}
