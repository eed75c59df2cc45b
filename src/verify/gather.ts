import type { Api } from '../kube/api.ts';
import { isPodActive, nodeAddresses, podIps } from '../kube/objects.ts';
import { EndpointSlices, Nodes, Pods, Services } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import type { VerifyInput, VerifyPod } from './input.ts';
import { gatherPolicies } from './policies.ts';

/** Where namespaces are is not in the API: the lab, or the node's container runtime, knows. */
export interface Places {
  nodeNetns(node: string): string | undefined;
  /** Of a pod with a network of its own. */
  podNetns(pod: Pod): string | Promise<string | undefined> | undefined;
  outside?: VerifyInput['outside'];
}

export interface ClusterFacts {
  clusterDns: readonly IpAddr[];
  clusterDomain: string;
}

/** Reads the cluster's state. Pods without an address yet, and pods and nodes whose namespace nobody knows, are left out. */
export async function gather(api: Api, places: Places, facts: ClusterFacts): Promise<VerifyInput> {
  const [nodes, pods, services, slices, policies] = await Promise.all([
    api.list(Nodes),
    api.list(Pods),
    api.list(Services),
    api.list(EndpointSlices),
    gatherPolicies(api),
  ]);
  const known = nodes.items.flatMap((node) => {
    const name = node.metadata.name!;
    const netns = places.nodeNetns(name);
    return netns === undefined ? [] : [{ name, netns, addresses: nodeAddresses(node).map(IpAddr.parse) }];
  });
  const placed = await Promise.all(pods.items.filter(isPodActive).map((pod) => placePod(pod, places)));
  return {
    nodes: known,
    pods: placed.filter((pod) => pod !== undefined),
    ...{ services: services.items, endpointSlices: slices.items, outside: places.outside, policies, ...facts },
  };
}

async function placePod(pod: Pod, places: Places): Promise<VerifyPod | undefined> {
  const node = pod.spec?.nodeName;
  const ips = podIps(pod).map(IpAddr.parse);
  if (!node || ips.length === 0) return undefined;
  const hostNetwork = pod.spec?.hostNetwork === true;
  const netns = hostNetwork ? places.nodeNetns(node) : await places.podNetns(pod);
  if (netns === undefined) return undefined;
  const { name = '', namespace = 'default' } = pod.metadata;
  return { namespace, name, node, netns, ips, hostNetwork, containers: pod.spec?.containers.length ?? 0 };
}
