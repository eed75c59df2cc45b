import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import { ClientAddress } from '../wire/client.ts';
import { rrType } from '../wire/constants.ts';
import { isBelow, labelsOf, lowerName, parseName, type WireName } from '../wire/names.ts';
import { endpointRecord, headlessRecords, type Naming, namespaceRecords, podRecords, serviceName, serviceRecords, undashed, zoneRecords } from './cluster-records.ts';
import { type Endpoint, EndpointNames } from './endpoint-names.ts';
import { endpointOf, linesOf, type NamespaceFacts, type PodFacts, type ServiceFacts, type SliceFacts } from './facts.ts';
import { PodIndex } from './pods.ts';
import { RecordSet } from './record-set.ts';
import { defaultTtl, type ZoneRecord } from './records.ts';
import { reverseAddress, reverseZones } from './reverse.ts';
import { type Contribution, Zones } from './zone.ts';

export interface ClusterZoneOptions {
  /** e.g. `cluster.local` */
  zone: string;
  /** Pod and Service ranges: only these have reverse zones (D20). */
  ranges: readonly Prefix[];
  /** The addresses that this server is asked on. */
  servers: readonly IpAddr[];
  /** Seconds. */
  ttl?: number;
  /** Milliseconds since 1970. */
  now?: () => number;
}

const kinds: Record<string, string> = { namespace: 'Namespace ', service: 'Service ', slice: 'EndpointSlice ', pod: 'Pod ' };
const none: Contribution = { records: [] };
const noSets: readonly RecordSet[] = [];

/**
 * Keeps the zones equal to the cluster's objects: `set` and `delete` take the objects in any order, any number of times. What a slice gives depends
 * on whether its Service is headless, so a Service that changes kind gives its slices anew, and nothing else depends on anything.
 */
export class ClusterZone {
  readonly zones: Zones;
  readonly pods = new PodIndex();
  #naming: Naming;
  /** `namespace/name` of the headless Services. */
  readonly #headless = new Set<string>();
  /** `namespace/service` → slices of it, by key. */
  readonly #slices = new Map<string, Map<string, SliceFacts>>();
  readonly #serviceOf = new Map<string, string>();
  readonly #endpoints = new EndpointNames();
  /** Slices of headless Services, as they stand in the zones. */
  readonly #given = new Map<string, SliceFacts>();

  /** @throws SyntaxError when the zone is not a name */
  constructor({ zone, ranges, servers, ttl = defaultTtl, now }: ClusterZoneOptions) {
    const apex: WireName = lowerName(parseName(zone));
    this.#naming = { zone: apex, ttl };
    const apexes = [...new Set([apex, ...ranges.flatMap(reverseZones)])];
    this.zones = new Zones(apexes, now);
    this.zones.make = (name) => this.#make(name);
    this.zones.contribute('zone', zoneRecords(this.#naming, apexes, servers));
  }

  /** Its own name, in lower case. */
  get apex(): WireName {
    return this.#naming.zone;
  }

  /** Also of one that has no names at present: headless, without ready endpoints. */
  hasService(key: string): boolean {
    return this.#headless.has(key) || this.zones.has(`service ${key}`);
  }

  /**
   * The objects that a name comes from, for people: `Service shop/web`, `EndpointSlice shop/db-x7k2p`, `Pod shop/web-0`, `Namespace shop`. Found by the name's form.
   * @param type of the record; undefined: of the name itself
   */
  objectsOf(name: WireName, type?: number): string[] {
    const owners = this.#candidates(name).filter((owner) => this.#gives(owner, name, type));
    const made = this.zones.get(name) ? [] : this.#endpointsOf(name).map(({ slice }) => `slice ${slice}`);
    return [...owners, ...new Set(made)].map((owner) => `${kinds[owner.slice(0, owner.indexOf(' '))] ?? ''}${owner.slice(owner.indexOf(' ') + 1)}`);
  }

  #candidates(name: WireName): string[] {
    const apex = this.zones.apexOf(name);
    if (apex === undefined) return [];
    if (apex.name !== this.apex) {
      // What it leads to gives it.
      const targets = this.zones.get(name)?.sets.find(({ type }) => type === rrType.PTR)?.data ?? [];
      return [...new Set(targets.flatMap((target) => this.#candidates(lowerName(target))))];
    }
    const labels = labelsOf(name).slice(0, -labelsOf(apex.name).length || undefined);
    const [folder, namespace, service] = [labels.pop(), labels.pop(), labels.pop()];
    if (namespace === undefined) return [];
    const all = [`namespace ${namespace}`];
    if (folder === 'svc' && service !== undefined) {
      const key = `${namespace}/${service}`;
      all.push(`service ${key}`, ...[...(this.#slices.get(key)?.keys() ?? [])].map((slice) => `slice ${slice}`));
    } else if (folder === 'pod') {
      for (const { type, data } of this.zones.get(name)?.sets ?? [])
        for (const bytes of data) {
          const address = new ClientAddress();
          const buffer = Buffer.from(bytes, 'latin1');
          if (type === rrType.A) address.setIpv4(buffer, 0);
          else if (type === rrType.AAAA) address.setIpv6(buffer, 0);
          const pod = this.pods.at(address);
          if (pod) all.push(`pod ${pod.namespace}/${pod.name}`);
        }
    }
    return all;
  }

  get ttl(): number {
    return this.#naming.ttl;
  }

  /** @param ttl seconds; undefined: the default */
  setTtl(ttl = defaultTtl): void {
    const before = this.#naming.ttl;
    if (ttl === before) return;
    this.#naming = { ...this.#naming, ttl };
    this.zones.setTtl(before, ttl);
  }

  /** @param facts undefined: it is gone */
  namespace(key: string, facts: NamespaceFacts | undefined): void {
    this.#contribute(`namespace ${key}`, () => (facts ? namespaceRecords(this.#naming, facts) : none));
  }

  service(key: string, facts: ServiceFacts | undefined): void {
    this.#contribute(`service ${key}`, () => (facts ? serviceRecords(this.#naming, facts) : none));
    const headless = facts?.kind === 'headless';
    if (headless === this.#headless.has(key)) return;
    if (headless) this.#headless.add(key);
    else this.#headless.delete(key);
    for (const [sliceKey, slice] of this.#slices.get(key) ?? []) this.#giveSlice(sliceKey, slice, headless);
  }

  slice(key: string, facts: SliceFacts | undefined): void {
    const before = this.#serviceOf.get(key);
    const service = facts && `${facts.namespace}/${facts.service}`;
    if (before !== undefined && before !== service) {
      const others = this.#slices.get(before);
      others?.delete(key);
      if (others?.size === 0) this.#slices.delete(before);
      this.#serviceOf.delete(key);
    }
    if (facts && service !== undefined) {
      this.#serviceOf.set(key, service);
      const slices = this.#slices.get(service);
      if (slices) slices.set(key, facts);
      else this.#slices.set(service, new Map([[key, facts]]));
    }
    this.#giveSlice(key, facts, service !== undefined && this.#headless.has(service));
  }

  pod(key: string, facts: PodFacts | undefined): void {
    this.pods.set(key, facts);
    this.#contribute(`pod ${key}`, () => (facts ? podRecords(this.#naming, facts) : none));
  }

  /** Of a thousand endpoints of a headless Service one changes: the others are not looked at but as text. */
  #giveSlice(key: string, facts: SliceFacts | undefined, headless: boolean): void {
    this.#endpoints.set(key, headless ? undefined : facts);
    const [before, after] = [this.#given.get(key), headless ? facts : undefined];
    if (!before && !after) return;
    if (after) this.#given.set(key, after);
    else this.#given.delete(key);
    const [old, now] = [new Set(before && linesOf(before)), new Set(after && linesOf(after))];
    const same = before && after && sayAlike(before, after);
    const added = [...now].filter((line) => !same || !old.has(line)).flatMap((line) => this.#recordsOf(after!, line));
    const removed = [...old].filter((line) => !same || !now.has(line)).flatMap((line) => this.#recordsOf(before!, line));
    this.zones.amend(added, removed);
  }

  /** Names that DNS cannot carry (D23) give nothing. */
  #recordsOf(slice: SliceFacts, line: string): ZoneRecord[] {
    return orNothing(() => headlessRecords(this.#naming, slice, endpointOf(line))) ?? [];
  }

  #gives(owner: string, name: WireName, type?: number): boolean {
    if (!owner.startsWith('slice ')) return this.zones.gives(owner, name, type);
    const slice = this.#given.get(owner.slice('slice '.length));
    const is = (record: ZoneRecord): boolean => record.name === name && (type === undefined || record.type === type);
    return slice !== undefined && linesOf(slice).some((line) => this.#recordsOf(slice, line).some(is));
  }

  /** What a name of an endpoint of a Service with a ClusterIP, or its address, stands for. */
  #make(name: WireName): readonly RecordSet[] {
    const sets = new Map<number, RecordSet>();
    const endpoints = this.#endpointsOf(name);
    // Most names that are looked for here do not exist.
    if (endpoints.length === 0) return noSets;
    const records = endpoints.map((endpoint) => endpointRecord(this.#naming, name, endpoint));
    for (const { type, ttl, data } of records) {
      const set = sets.get(type);
      if (set) set.add(data);
      else sets.set(type, new RecordSet(type, ttl, data));
    }
    return [...sets.values()];
  }

  #endpointsOf(name: WireName): Endpoint[] {
    if (!isBelow(name, this.apex)) {
      const address = reverseAddress(name);
      return address ? this.#endpoints.at(address).filter(({ facts }) => this.#hasClusterIp(facts)) : [];
    }
    const [label, service, namespace, folder, ...rest] = labelsOf(name.slice(0, -this.apex.length));
    if (label === undefined || service === undefined || namespace === undefined || folder !== 'svc' || rest.length > 0) return [];
    const key = `${namespace}/${service}`;
    const slices = this.#slices.get(key);
    if (!slices) return [];
    const found = this.#endpoints.named(slices.keys(), label);
    const address = undashed(label);
    for (const endpoint of address ? this.#endpoints.at(address) : [])
      if (endpoint.hostname === undefined && slices.has(endpoint.slice)) found.push(endpoint);
    return found.length > 0 && this.#hasClusterIp({ namespace, service }) ? found : [];
  }

  #hasClusterIp({ namespace, service }: { namespace: string; service: string }): boolean {
    const sets = this.zones.get(serviceName(this.#naming, namespace, service))?.sets ?? [];
    return !this.#headless.has(`${namespace}/${service}`) && sets.some(({ type }) => type === rrType.A || type === rrType.AAAA);
  }

  /** Names that DNS cannot carry (D23; the API refuses them) give nothing, and disturb nobody else. */
  #contribute(owner: string, build: () => Contribution): void {
    this.zones.contribute(owner, orNothing(build) ?? none);
  }
}

/** @returns undefined when it has a name that DNS cannot carry */
function orNothing<T>(build: () => T): T | undefined {
  try {
    return build();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Whether an endpoint means the same in both. */
const sayAlike = (a: SliceFacts, b: SliceFacts): boolean =>
  a.namespace === b.namespace && a.service === b.service && a.isFqdn === b.isFqdn && JSON.stringify(a.ports) === JSON.stringify(b.ports);
