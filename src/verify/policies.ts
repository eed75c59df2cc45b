import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { isNotFound } from '../kube/api.ts';
import { apiVersionOf, EndpointSlices, Namespaces, NetworkPolicies, Nodes, Pods, Services } from '../kube/resources.ts';
import type { IpAddr } from '../net/ip.ts';
import { evaluate } from '../policy/evaluate.ts';
import { readCluster } from '../policy/manifests.ts';
import type { AnyObject } from '../policy/policies.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import type { World as PolicyWorld } from '../policy/world.ts';
import type { CheckProtocol } from './input.ts';

const protocols = { tcp: 'TCP', udp: 'UDP', dns: 'UDP', icmp: 'ICMP' } as const;

/** What policies forbid, by the specification itself (room `policy`) and not by what the data path is planned from. */
export class Policies {
  readonly #world: PolicyWorld | undefined;

  /** @param world undefined where there are no policies */
  constructor(world: PolicyWorld | undefined) {
    this.#world = world;
  }

  /** @param port undefined for ICMP */
  denies(source: IpAddr, destination: IpAddr, protocol: CheckProtocol, port?: number, viaService = false): boolean {
    if (!this.#world) return false;
    const packet = { source, destination, protocol: protocols[protocol], viaService, ...(port === undefined ? {} : { port }) };
    return !evaluate(this.#world, packet).allowed;
  }
}

/** @returns undefined where there is no policy: then nothing more is asked for */
export async function gatherPolicies(api: Api): Promise<PolicyWorld | undefined> {
  const list = async (resource: Resource<KubeObject>): Promise<AnyObject[]> =>
    // Items of a list do not say what they are.
    (await api.list(resource)).items.map((item) => ({ ...item, apiVersion: apiVersionOf(resource), kind: resource.kind }));
  const isThere = (resource: Resource<KubeObject>): Promise<AnyObject[]> =>
    list(resource).catch((error: unknown) => {
      if (isNotFound(error)) return [];
      throw error;
    });
  const policies = (
    await Promise.all([list(NetworkPolicies as Resource<KubeObject>), ...clusterPolicyResources.map(isThere)])
  ).flat();
  if (policies.length === 0) return undefined;
  const others = [Namespaces, Nodes, Pods, Services, EndpointSlices] as readonly Resource<KubeObject>[];
  return readCluster([...policies, ...(await Promise.all(others.map(list))).flat()]).world;
}
