import type { NftElement } from '../reconcile/model.ts';
import { named } from './names.ts';
import type { ServicePortView, ServiceView } from './service.ts';
import { parseNumber, setKey } from './values.ts';

/** Where a client sits, seen from the node: a pod on it, a process of it, or any other machine (pods of other nodes too). */
export const positions = ['pod', 'node', 'outside'] as const;
export type Position = (typeof positions)[number];

/** By which of its addresses a Service is reached. */
export interface Destination {
  kind: 'ClusterIP' | 'node port' | 'load balancer' | 'externalIP';
  address: string;
  port: number;
}

/** What a client meets at a destination. */
export interface Way {
  /** `answered here`: by this node's own DNS. `not served`: packets go where they would without the Service. */
  outcome: 'sent on' | 'refused' | 'dropped' | 'answered here' | 'not served';
  /** From which set of endpoints one is drawn. */
  set?: 'any' | 'local';
  /** How many there are to draw from. */
  endpoints?: number;
  /** Whose address the endpoint sees. */
  source?: 'client' | 'node';
  /** Only these sources are let in; all others are dropped (SD10). */
  only?: readonly string[];
  why: string;
}

/** The elements of one Service's plan, by set and key. */
export class PlanTable {
  readonly #data = new Map<string, string | undefined>();
  readonly #slots = new Map<string, number>();
  readonly #restricted: [key: string, source: string][] = [];

  constructor(elements: Iterable<NftElement>) {
    for (const { set, key, data } of elements) {
      this.#data.set(`${set} ${key}`, data);
      if (/^(slots[46]|affinity-slots)$/.test(set)) {
        const of = key.slice(0, key.indexOf(' '));
        this.#slots.set(of, (this.#slots.get(of) ?? 0) + 1);
      } else if (/^sources[46]$/.test(set)) {
        const at = key.lastIndexOf(' . ');
        this.#restricted.push([key.slice(0, at), key.slice(at + 3)]);
      }
    }
  }

  has(set: string, key: string): boolean {
    return this.#data.has(`${set} ${key}`);
  }

  get(set: string, key: string): string | undefined {
    return this.#data.get(`${set} ${key}`);
  }

  /** The sets of endpoints that a service port leads to, by the keys of the elements that lead there. */
  setsOf(keys: readonly string[]): Set<string> {
    const leads = ['service-ips', 'nodeports', 'nodeports-outside', 'external-ports', 'external-outside'];
    const values = keys.flatMap((key) =>
      leads.flatMap((set) => [4, 6].flatMap((n) => this.#data.get(`${set}${n} ${key}`) ?? [])),
    );
    return new Set(values.map((value) => setKey(parseNumber(value).setId)));
  }

  /** How many endpoints a value leads to; 0 drops. */
  endpoints(value: string): number {
    const { setId, low } = parseNumber(value);
    return low === 0 ? 0 : (this.#slots.get(setKey(setId)) ?? 0);
  }

  sources(key: string): string[] {
    return this.#restricted.filter(([of]) => of === key).map(([, source]) => source);
  }
}

/**
 * Walks a first packet through the elements that are planned for a Service, in the order of the chains (see `entry-chains.ts`, `check-chains.ts`,
 * `source-chains.ts`): what it tells is what the kernel does, once it holds them.
 */
export function walk(table: PlanTable, view: ServiceView, port: ServicePortView, to: Destination, from: Position): Way {
  if (to.kind === 'ClusterIP') return toClusterIp(table, view, port, to, from);
  return toExternal(table, view, port, to, from);
}

function toClusterIp(table: PlanTable, view: ServiceView, port: ServicePortView, to: Destination, from: Position): Way {
  const { family, protocol } = port;
  const key = `${to.address} . ${protocol} . ${to.port}`;
  const value = table.get(named('service-ips', family), key);
  if (value === undefined && table.has(named('answered', family), key))
    return {
      outcome: 'answered here',
      why: "this node's own DNS answers, without translation; while it does not, endpoints are taken",
    };
  if (value === undefined) return refused;
  const isLocal = view.internalLocal;
  const source = from === 'pod' ? 'client' : 'node';
  return sentOn(table.endpoints(value), isLocal ? 'local' : 'any', source, isLocal ? 'internalTrafficPolicy' : undefined);
}

function toExternal(table: PlanTable, view: ServiceView, port: ServicePortView, to: Destination, from: Position): Way {
  const { family, protocol } = port;
  const isNodePort = to.kind === 'node port';
  const key = isNodePort ? `${protocol} . ${to.port}` : `${to.address} . ${protocol} . ${to.port}`;
  const [ports, outside, none] = isNodePort
    ? (['nodeports', 'nodeports-outside', 'nodeports-refused'] as const)
    : (['external-ports', 'external-outside', 'external-refused'] as const);
  const only = !isNodePort && table.has(named('restricted', family), key) ? table.sources(key) : undefined;
  const localValue = from === 'outside' ? table.get(named(outside, family), key) : undefined;
  const value = localValue ?? table.get(named(ports, family), key);
  if (value === undefined) {
    if (table.has(named(none, family), key)) return { ...refused, ...(only ? { only } : {}) };
    return { outcome: 'not served', why: 'nothing is planned for it' };
  }
  const isKept = isNodePort
    ? table.has(`nodeports-local-${protocol}`, `${to.port}`)
    : table.has(named(`external-local-${protocol}`, family), `${to.address} . ${to.port}`);
  const source = isKept && from !== 'node' ? 'client' : 'node';
  const isLocal = localValue !== undefined;
  const way = sentOn(table.endpoints(value), isLocal ? 'local' : 'any', source, isLocal ? 'externalTrafficPolicy' : undefined);
  const shortcut = view.externalLocal && !isLocal ? '; externalTrafficPolicy Local is for clients from outside (SD8)' : '';
  return { ...way, why: way.why + shortcut, ...(only ? { only } : {}) };
}

const refused: Way = {
  outcome: 'refused',
  endpoints: 0,
  why: 'no endpoint can be used: a TCP reset, or ICMP port unreachable (SD6)',
};

type Policy = 'internalTrafficPolicy' | 'externalTrafficPolicy' | undefined;

const sourceWords = {
  client: "the endpoint sees the client's address, unless the client is itself the endpoint",
  node: "the endpoint sees the node's address",
} as const;

function sentOn(endpoints: number, set: 'any' | 'local', source: 'client' | 'node', policy: Policy): Way {
  if (endpoints === 0) {
    const why = `${policy} is Local, there are endpoints elsewhere and none on this node (SD7)`;
    return { outcome: 'dropped', set, endpoints, why };
  }
  const drawn = set === 'local' ? `one of those on this node (${policy} Local)` : 'any of them';
  return { outcome: 'sent on', set, endpoints, source, why: `${drawn}; ${sourceWords[source]}` };
}
