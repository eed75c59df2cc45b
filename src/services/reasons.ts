import type { Endpoint, EndpointSlice } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import {
  addressType,
  type Backend,
  backendsOf,
  chooseBackends,
  elsewhere,
  faultOf,
  isNear,
  type Topology,
  topologyOf,
} from './endpoints.ts';
import type { ServiceNode } from './node.ts';
import { type ServiceFacts, type ServicePortView, serviceKey } from './service.ts';
import { maxEndpoints } from './values.ts';

/** Why an endpoint is in none of the sets, or not in one of them. */
export type ReasonCode =
  | 'not-ready'
  | 'terminating'
  | 'other-node-preferred'
  | 'other-zone-preferred'
  | 'not-on-this-node'
  | 'own-is-silent'
  | 'address-not-allowed'
  | 'no-such-port'
  | 'too-many';

export interface Reason {
  code: ReasonCode;
  /** In words. */
  why: string;
}

/** One endpoint of a service port, with what became of it. */
export interface JudgedEndpoint {
  /** `10.244.1.7` or `fd00::7` */
  address: string;
  /** None when its slices do not have the port. */
  port?: number;
  /** Of the endpoint; none of one that was written by hand. */
  nodeName?: string;
  zone?: string;
  condition: 'ready' | 'terminating' | 'not ready';
  /** In the set of all endpoints, for policy Cluster: no reason against it. */
  any: true | Reason;
  /** In the set of those on this node, for policy Local. */
  local: true | Reason;
}

/** The endpoints of one service port: who was chosen, by the very sets that are planned, and why the others were not. */
export function judgeEndpoints(
  slices: readonly EndpointSlice[],
  port: ServicePortView,
  node: ServiceNode,
  silent: ServiceFacts['silent'] = new Set(),
): JudgedEndpoint[] {
  const { name, protocol, family } = port;
  const backends = backendsOf(slices, name, protocol, family, node);
  const others = silent.has(serviceKey(port)) ? elsewhere(backends) : backends;
  const sets = chooseBackends(others, node);
  const endpoints = endpointsByAddress(slices);
  const ready = backends.filter((backend) => backend.ready);
  const topology = topologyOf(ready, node);
  const near = ready.filter((backend) => isNear(backend, topology, node)).length;
  const places = { any: placesOf(sets.cluster), local: placesOf(sets.local) };
  const readyHere = ready.filter(({ isLocal }) => isLocal).length;
  const context = { places, node, endpoints, topology, near, ready: ready.length, readyHere, others: new Set(others) };
  const judged = backends.map((backend) => judgeBackend(backend, context));
  return [...judged, ...skipped(slices, port, new Set(backends.map(({ address }) => `${address}`)))];
}

const placesOf = (set: readonly Backend[]): Map<Backend, number> => new Map(set.map((backend, place) => [backend, place]));

interface Context {
  /** Whoever was chosen, with the place in the set. */
  places: Readonly<Record<'any' | 'local', ReadonlyMap<Backend, number>>>;
  node: ServiceNode;
  endpoints: ReadonlyMap<string, Endpoint>;
  topology: Topology;
  /** How many the hints prefer, are ready, and are ready on this node. */
  near: number;
  ready: number;
  readyHere: number;
  /** All, less this node's own while it is silent. */
  others: ReadonlySet<Backend>;
}

function judgeBackend(backend: Backend, context: Context): JudgedEndpoint {
  const { places, endpoints, ready, readyHere, others } = context;
  const endpoint = endpoints.get(`${backend.address}`);
  const { nodeName } = endpoint ?? {};
  const chosen = (set: 'any' | 'local', reason: () => Reason): true | Reason => {
    const place = places[set].get(backend);
    if (place === undefined) return others.has(backend) ? reason() : ownIsSilent;
    return place < maxEndpoints || { code: 'too-many', why: `a set has ${maxEndpoints} endpoints at most` };
  };
  return {
    ...{ address: `${backend.address}`, port: backend.port },
    ...(nodeName ? { nodeName } : {}),
    ...(endpoint?.zone ? { zone: endpoint.zone } : {}),
    condition: conditionOf(backend),
    any: chosen('any', () => unready(backend, ready) ?? far(backend, context)),
    local: chosen('local', () => (backend.isLocal ? unready(backend, readyHere)! : notHere(nodeName))),
  };
}

const ownIsSilent: Reason = { code: 'own-is-silent', why: "this node's own DNS is not ready" };

const notHere = (nodeName: string | undefined): Reason => ({
  code: 'not-on-this-node',
  why: nodeName ? `it is on ${nodeName}, not on this node` : 'it names no node, so it is on none',
});

const conditionOf = ({ ready, terminating }: Pick<Backend, 'ready' | 'terminating'>): JudgedEndpoint['condition'] =>
  ready ? 'ready' : terminating ? 'terminating' : 'not ready';

/** SD5: a terminating one that still serves counts while none is ready. @param others how many are */
function unready({ ready, serving, terminating }: Backend, others: number): Reason | undefined {
  if (ready) return undefined;
  if (!terminating) return { code: 'not-ready', why: 'it is not ready' };
  if (!serving) return { code: 'terminating', why: 'it is terminating, and serves no more' };
  return { code: 'terminating', why: `it is terminating, and ${others === 1 ? '1 other is' : `${others} others are`} ready` };
}

/** SD17 */
function far({ nodes, zones }: Backend, { topology, near, node }: Context): Reason {
  const preferred = near === 1 ? '1 endpoint is' : `${near} endpoints are`;
  if (topology === 'node')
    return { code: 'other-node-preferred', why: `by its hints it is for ${nodes!.join(', ')}, and ${preferred} for this node` };
  const why = `by its hints it is for zone ${zones!.join(', ')}, and ${preferred} for this node's zone ${node.zone}`;
  return { code: 'other-zone-preferred', why };
}

/** By address; of several entries any, since one address is on one node. */
function endpointsByAddress(slices: readonly EndpointSlice[]): Map<string, Endpoint> {
  const all = slices.flatMap(({ endpoints }) => endpoints ?? []);
  return new Map(all.map((endpoint) => [`${IpAddr.tryParse(endpoint.addresses[0] ?? '')}`, endpoint]));
}

/** What the slices have, and no backend was made of. */
function skipped(slices: readonly EndpointSlice[], port: ServicePortView, known: Set<string>): JudgedEndpoint[] {
  const found: JudgedEndpoint[] = [];
  for (const slice of slices) {
    if (slice.addressType !== addressType[port.family]) continue;
    for (const { addresses, nodeName, zone, conditions } of slice.endpoints ?? []) {
      const text = addresses[0] ?? '';
      if (known.has(`${IpAddr.tryParse(text)}`)) continue;
      known.add(text);
      const { ready = true, terminating = false } = conditions ?? {};
      const reason = whySkipped(text, port.family) ?? {
        code: 'no-such-port',
        why: `its EndpointSlice has no port ${port.name === '' ? 'without a name' : `named ${port.name}`} of ${port.protocol.toUpperCase()}`,
      };
      found.push({
        ...{ address: text, ...(nodeName ? { nodeName } : {}), ...(zone ? { zone } : {}) },
        ...{ condition: conditionOf({ ready, terminating }), any: reason, local: reason },
      });
    }
  }
  return found;
}

function whySkipped(text: string, family: Family): Reason | undefined {
  const address = IpAddr.tryParse(text);
  const because = (why: string): Reason => ({ code: 'address-not-allowed', why });
  if (!address) return because('it is no IP address');
  const fault = faultOf(address, family);
  if (fault === 'family') return because(`it is no ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address, though its slice says so`);
  if (fault === 'special')
    return because('no Service may lead to unspecified, loopback, link-local and multicast addresses (SD21)');
  return undefined;
}
