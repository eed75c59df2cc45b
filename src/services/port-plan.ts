import type { NftElement } from '../reconcile/model.ts';
import type { Numbers } from '../reconcile/numbers.ts';
import type { Adopted } from './adopted.ts';
import type { Backend, BackendSets } from './endpoints.ts';
import { EndpointSet } from './endpoint-set.ts';
import type { Family } from '../net/ip.ts';
import { named, type Protocol } from './names.ts';
import { textOf, withoutCovered } from './prefixes.ts';
import { externalKeys, nodePortKey, type ServicePortView, type ServiceView, serviceKey } from './service.ts';
import { classOf, numberOf, setKey } from './values.ts';

/** What the plan of a service port depends on beside the port itself. */
export interface PortContext {
  view: ServiceView;
  sets: BackendSets;
  /** This node answers the port itself, without translation. */
  answeredHere: boolean;
  /** It does so when it can. */
  answerable: boolean;
  /** Class of its session affinity, if it has one. */
  affinity: number | undefined;
  adopted: Adopted | undefined;
}

const element = (set: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set, key } : { kind: 'nft-element', set, key, data };

/** Keeps the sets of endpoints of one service port in one family, and writes its elements. */
export class PortPlan {
  readonly #ids: Numbers;
  readonly #family: Family;
  readonly #protocol: Protocol;
  readonly #port: number;
  readonly #name: string;
  #cluster: EndpointSet | undefined;
  #local: EndpointSet | undefined;

  constructor({ family, protocol, port, name }: ServicePortView, ids: Numbers) {
    this.#ids = ids;
    this.#family = family;
    this.#protocol = protocol;
    this.#port = port;
    this.#name = name;
  }

  /** Whether it is this port's, as a Service knows its ports: whatever else of it may be another. */
  isOf({ family, protocol, port, name }: ServicePortView): boolean {
    return this.#port === port && this.#protocol === protocol && this.#family === family && this.#name === name;
  }

  plan(port: ServicePortView, context: PortContext): NftElement[] {
    const { view, answeredHere, answerable } = context;
    const { cluster, local } = context.sets;
    const { family } = port;
    const elements: NftElement[] = answeredHere ? [element(named('answered', family), serviceKey(port))] : [];
    if (answerable && port.protocol === 'udp') elements.push(element(named('answers', family), serviceKey(port)));
    for (const address of port.externalIps) elements.push(element(named('externals', family), `${address}`));
    // Whom the address is not for is not told whether there are endpoints.
    if (view.sources) elements.push(...sourceElements(view, port));
    const hasNodePort = port.nodePort !== undefined;
    if (cluster.length === 0 && local.length === 0) {
      this.release();
      if (hasNodePort) elements.push(element(named('nodeports-refused', family), nodePortKey(port)));
      for (const key of externalKeys(port)) elements.push(element(named('external-refused', family), key));
      return elements;
    }
    const isExternal = hasNodePort || port.externalIps.length > 0;
    // A port that is answered here has no lead to its set, by which a restarted agent would know it again: it has none.
    const usesCluster = (!view.internalLocal && !answeredHere) || isExternal;
    const usesLocal = (view.internalLocal && !answeredHere) || (view.externalLocal && isExternal);
    const leads = context.adopted && leadsOf(view, port);
    this.#cluster = this.#keep(this.#cluster, usesCluster, leads?.cluster, context);
    this.#local = this.#keep(this.#local, usesLocal, leads?.local, context);
    const clusterValue = this.#write(this.#cluster, cluster, port, context, elements);
    const localValue = this.#write(this.#local, local, port, context, elements);
    if (!answeredHere)
      elements.push(element(named('service-ips', family), serviceKey(port), view.internalLocal ? localValue : clusterValue));
    if (hasNodePort) elements.push(element(named('nodeports', family), nodePortKey(port), clusterValue));
    for (const key of externalKeys(port)) elements.push(element(named('external-ports', family), key, clusterValue));
    if (view.externalLocal) elements.push(...localElements(port, localValue));
    return elements;
  }

  /** Gives the ids back. */
  release(): void {
    this.#cluster = this.#keep(this.#cluster, false);
    this.#local = this.#keep(this.#local, false);
  }

  #keep(
    set: EndpointSet | undefined,
    isUsed: boolean,
    leads: readonly string[] = [],
    context?: PortContext,
  ): EndpointSet | undefined {
    if (isUsed) return set ?? EndpointSet.make(this.#ids, context?.adopted, leads);
    if (set) this.#ids.release(set.id);
    return undefined;
  }

  /** @returns the value that leads to the set */
  #write(
    set: EndpointSet | undefined,
    backends: readonly Backend[],
    port: ServicePortView,
    { affinity }: PortContext,
    elements: NftElement[],
  ): string | undefined {
    if (!set) return undefined;
    const isSticky = affinity !== undefined;
    const { elements: own, size } = set.plan(backends, port, isSticky);
    for (const one of own) elements.push(one);
    const value = numberOf(set.id, classOf(size));
    if (!isSticky || size === 0) return value;
    elements.push(element('affinity-counts', setKey(set.id), value));
    return numberOf(set.id, affinity);
  }
}

/** Which elements of the kernel tell the ids of the sets from before a restart. */
function leadsOf(view: ServiceView, port: ServicePortView): { cluster: string[]; local: string[] } {
  const { family } = port;
  const service = `${named('service-ips', family)} ${serviceKey(port)}`;
  const external = [
    `${named('nodeports', family)} ${nodePortKey(port)}`,
    ...externalKeys(port).map((key) => `${named('external-ports', family)} ${key}`),
  ];
  const outside = [
    `${named('nodeports-outside', family)} ${nodePortKey(port)}`,
    ...externalKeys(port).map((key) => `${named('external-outside', family)} ${key}`),
  ];
  return view.internalLocal ? { cluster: external, local: [service, ...outside] } : { cluster: [service, ...external], local: outside };
}

/** externalTrafficPolicy Local: who is not on this node gets the endpoints here, and keeps its address. */
function localElements(port: ServicePortView, value: string | undefined): NftElement[] {
  const { family, protocol, nodePort } = port;
  const elements: NftElement[] = [];
  if (nodePort !== undefined)
    elements.push(
      element(named('nodeports-outside', family), nodePortKey(port), value),
      element(`nodeports-local-${protocol}`, `${nodePort}`),
    );
  for (const key of externalKeys(port)) elements.push(element(named('external-outside', family), key, value));
  for (const address of port.externalIps)
    elements.push(element(named(`external-local-${protocol}`, family), `${address} . ${port.port}`));
  return elements;
}

/** SD10, SD9: the load balancer's addresses alone are for these sources only. */
function sourceElements({ sources, loadBalancerIps }: ServiceView, port: ServicePortView): NftElement[] {
  const { family, protocol, externalIps } = port;
  if (!sources) return [];
  const admitted = withoutCovered(sources.filter((source) => source.family === family));
  return externalIps
    .filter((address) => loadBalancerIps.some((balanced) => balanced.equals(address)))
    .flatMap((address) => {
      const key = `${address} . ${protocol} . ${port.port}`;
      return [
        element(named('restricted', family), key),
        ...admitted.map((source) => element(named('sources', family), `${key} . ${textOf(source)}`)),
      ];
    });
}
