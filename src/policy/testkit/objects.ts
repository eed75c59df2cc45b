import type { NetworkPolicySpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { evaluate } from '../evaluate.ts';
import type { Packet } from '../packet.ts';
import type { AnyObject } from '../policies.ts';
import { readWorld } from '../read-world.ts';
import type { Verdict } from '../verdict.ts';
import type { World } from '../world.ts';

/** `shop/web` in two parts; without a slash the namespace is `default`. */
const split = (key: string): { namespace: string; name: string } => {
  const [first = '', second] = key.split('/');
  return second === undefined ? { namespace: 'default', name: first } : { namespace: first, name: second };
};

export const namespace = (name: string, labels: Record<string, string> = {}): AnyObject =>
  ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }) as AnyObject;

export const node = (name: string, addresses: string[], labels: Record<string, string> = {}): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } },
    status: {
      addresses: [{ type: 'Hostname', address: name }, ...addresses.map((address) => ({ type: 'InternalIP', address }))],
    },
  }) as AnyObject;

interface PodMore {
  node?: string;
  hostNetwork?: boolean;
  phase?: string;
  ports?: { name?: string; containerPort: number; protocol?: string }[];
}

/** @param ips with blanks between */
export const pod = (key: string, ips: string, labels: Record<string, string> = {}, more: PodMore = {}): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { ...split(key), labels } },
    spec: { nodeName: more.node, hostNetwork: more.hostNetwork, containers: [{ name: 'c', ports: more.ports ?? [] }] },
    status: {
      phase: more.phase ?? 'Running',
      podIPs: ips
        .split(' ')
        .filter(Boolean)
        .map((ip) => ({ ip })),
    },
  }) as AnyObject;

export const networkPolicy = (key: string, spec: NetworkPolicySpec): AnyObject =>
  ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: split(key), spec }) as AnyObject;

const clusterWide =
  (version: string, kind: string) =>
  (name: string, spec: object): AnyObject => ({
    apiVersion: `policy.networking.k8s.io/${version}`,
    kind,
    metadata: { name },
    spec,
  });

export const clusterPolicy = clusterWide('v1alpha2', 'ClusterNetworkPolicy');
export const adminPolicy = clusterWide('v1alpha1', 'AdminNetworkPolicy');
export const baselinePolicy = clusterWide('v1alpha1', 'BaselineAdminNetworkPolicy');

export interface Asked {
  world: World;
  verdict: (from: string, to: string, port?: string, more?: Partial<Packet>) => Verdict;
  allowed: (from: string, to: string, port?: string, more?: Partial<Packet>) => boolean;
}

/**
 * Asks a world of these objects. Ends are keys of pods, names of nodes, or addresses; a port is `TCP 80`, or `ICMP`; a pod's address is its first.
 */
export function ask(...objects: AnyObject[]): Asked {
  const world = readWorld(objects);
  const addressOf = (end: string): IpAddr => {
    const address = IpAddr.tryParse(end);
    if (address) return address;
    const { namespace, name } = split(end);
    const found =
      world.pods.find((one) => one.namespace === namespace && one.name === name) ?? world.nodes.find((one) => one.name === end);
    if (!found?.addresses[0]) throw new Error(`${end} is not in this world, or has no address`);
    return found.addresses[0];
  };
  const verdict: Asked['verdict'] = (from, to, port = 'TCP 80', more = {}) => {
    const [protocol = '', number] = port.split(' ');
    const packet = { source: addressOf(from), destination: addressOf(to), protocol: protocol as Packet['protocol'] };
    return evaluate(world, { ...packet, ...(number === undefined ? {} : { port: Number(number) }), ...more });
  };
  return { world, verdict, allowed: (...asked) => verdict(...asked).allowed };
}
