import type { Family } from '../../net/ip.ts';
import { endpointAddressOf } from '../objects.ts';
import type { AnyObject } from '../../policy/policies.ts';

/** The node whose pods talk: clients and servers are its pods alike, so that both directions of policy are judged on the way. */
export const nodeName = 'node-0';
export const nodeAddress = '192.0.2.1';
/** Ports that policies allow begin here, and it is where servers listen. */
export const serverPort = 8000;
/** Peers that differ; with more policies than that, further ones allow further ports. */
const mostApps = 500;
/** On each side. */
const podsPerSide = 64;
/** Of the rest of the cluster, on other nodes. */
export const elsewhere = 10_000;

/** Where everything is, in one family. */
export interface Layout {
  node: string;
  /** Of the links to clients and servers: the node's end, then theirs. */
  clientLink: readonly [node: string, pods: string];
  serverLink: readonly [node: string, pods: string];
  clientCidr: string;
  serverCidr: string;
  /** The way to it leads to the servers' namespace, where nobody has these addresses, and nobody answers. */
  silentCidr: string;
  all: string;
  silent: (i: number) => string;
  /** A local pod: clients are below 128. */
  local: (place: number) => string;
  /** A pod of another node. */
  elsewhere: (i: number) => string;
}

export const layouts: Readonly<Record<Family, Layout>> = {
  ipv4: {
    ...{ node: nodeAddress, clientLink: [nodeAddress, '192.0.2.2'], serverLink: ['198.51.100.1', '198.51.100.2'] },
    ...{ clientCidr: '10.128.0.0/25', serverCidr: '10.128.0.128/25', silentCidr: '10.128.1.0/24', all: '0.0.0.0/0' },
    silent: (i) => `10.128.1.${1 + (i % 250)}`,
    local: (place) => `10.128.0.${place}`,
    elsewhere: endpointAddressOf,
  },
  ipv6: {
    ...{ node: 'fd00:192::1', clientLink: ['fd00:192::1', 'fd00:192::2'], serverLink: ['fd00:198::1', 'fd00:198::2'] },
    ...{ clientCidr: 'fd00:128::/121', serverCidr: 'fd00:128::80/121', silentCidr: 'fd00:128:0:1::/64', all: '::/0' },
    silent: (i) => `fd00:128:0:1::${(1 + (i % 250)).toString(16)}`,
    local: (place) => `fd00:128::${place.toString(16)}`,
    elsewhere: (i) => `fd00:129::${(1 + i).toString(16)}`,
  },
};

export const apps = (policies: number): number => Math.max(1, Math.min(policies, mostApps));

/** A pod of the node that is measured: whoever is a stranger is in no policy's peers. */
export interface LocalPod {
  name: string;
  address: string;
  side: 'client' | 'server';
  isStranger: boolean;
  app: string;
}

/** Every fourth pod is a stranger, the others are of apps spread over all that policies name. */
export function localPods(policies: number, perSide = podsPerSide, family: Family = 'ipv4'): LocalPod[] {
  return (['client', 'server'] as const).flatMap((side, s) =>
    Array.from({ length: perSide }, (_, i) => {
      const isStranger = i % 4 === 3;
      const app = isStranger ? 'stranger' : `app-${((s * perSide + i) * 7919) % apps(policies)}`;
      return { name: `${side}-${i}`, address: layouts[family].local((side === 'client' ? 2 : 130) + i), side, isStranger, app };
    }),
  );
}

const pod = (name: string, address: string, node: string, labels: Record<string, string>): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels } },
    spec: { nodeName: node, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: serverPort }] }] },
    status: { phase: 'Running', podIPs: [{ ip: address }] },
  }) as AnyObject;

/** What the n-th policy allows. */
export interface PolicyRow {
  app: string;
  port: number;
}
/** The port that servers listen on is allowed by early and by late policies alike. @param policies that there are: up to 500, or a multiple of it */
export function policyRow(index: number, policies: number): PolicyRow {
  const ports = Math.ceil(policies / mostApps);
  const round = Math.floor(index / mostApps);
  return { app: `app-${index % mostApps}`, port: serverPort + ((round + (index % mostApps)) % ports) };
}

/** The n-th of the policies: it selects all pods of its namespace, isolates both directions, and allows one app one port each way. */
function policyOf(index: number, policies: number, namespace = 'shop'): AnyObject {
  const { app, port } = policyRow(index, policies);
  const peer = { podSelector: { matchLabels: { app } } };
  const ports = [{ protocol: 'TCP', port }];
  return {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: `policy-${index}`, namespace } },
    spec: {
      ...{ podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
      ...{ ingress: [{ from: [peer], ports }], egress: [{ to: [peer], ports }] },
    },
  } as AnyObject;
}

/** Address and app of every pod of the cluster in which connections are measured. */
export function* addressesOf(local: readonly LocalPod[]): Iterable<readonly [address: string, app: string]> {
  for (const { address, app } of local) yield [address, app];
  for (let i = 0; i < elsewhere; i++) yield [endpointAddressOf(i), `app-${i % mostApps}`];
}

/** All objects of the cluster in which connections are measured. @param namespace that the policies are in; pods are in `shop` */
export function* objectsOf(policies: number, local: readonly LocalPod[], namespace = 'shop', family: Family = 'ipv4'): Iterable<AnyObject> {
  for (const name of new Set(['shop', namespace]))
    yield { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: {} } } as AnyObject;
  yield {
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels: {} } },
    status: { addresses: [{ type: 'InternalIP', address: layouts[family].node }] },
  } as AnyObject;
  for (const { name, address, app } of local) yield pod(name, address, nodeName, { app });
  for (let i = 0; i < elsewhere; i++) yield pod(`pod-${i}`, layouts[family].elsewhere(i), `node-${1 + (i % 100)}`, { app: `app-${i % mostApps}` });
  for (let i = 0; i < policies; i++) yield policyOf(i, policies, namespace);
}
