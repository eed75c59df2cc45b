import type { AnyObject } from '../../policy/policies.ts';
import { endpointAddressOf } from '../objects.ts';
import { nodeAddress, nodeName, serverPort } from './cluster.ts';

/** What is changed: 10,000 pods in one namespace, 110 pods of the node that is measured in ten others, and 1,000 policies on these. */
export const sizes = { pods: 10_000, policies: 1000, localPods: 110 } as const;

/** Who talks while policies change: a pod of the large namespace, on the node itself, and one of the node's other pods. */
export const [clientAddress, serverAddress] = ['10.128.0.2', '10.128.0.130'];
const namespaces = 10;
const roles = 11;
const apps = 500;

const pod = (namespace: string, name: string, ip: string, node: string, labels: Record<string, string>): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels } },
    spec: { nodeName: node, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: serverPort }] }] },
    status: { phase: 'Running', podIPs: [{ ip }] },
  }) as AnyObject;

/** The large namespace. Its purpose `p0` is what policies ask for. */
export const bigNamespace = (purpose: string): AnyObject =>
  ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'big', labels: { purpose } } }) as AnyObject;

export const clientPod = (app: string): AnyObject => pod('big', 'client', clientAddress!, nodeName, { app });

/** Of the pods of one role in one namespace, it allows an app of the large namespace some ports; every third is about egress too, every twentieth names networks. */
function policy(name: string, index: number, app: string): AnyObject {
  const peer = { namespaceSelector: { matchLabels: { purpose: 'p0' } }, podSelector: { matchLabels: { app } } };
  const port = serverPort + (index % 7);
  const ports = [{ protocol: 'TCP', port }, { protocol: 'UDP', port }, ...(index % 5 === 0 ? [{ protocol: 'TCP', port: 9000, endPort: 9100 }] : [])];
  const network = { ipBlock: { cidr: `172.${16 + (index % 16)}.0.0/16`, except: [`172.${16 + (index % 16)}.${index % 250}.0/24`] } };
  return {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace: `shop-${index % namespaces}` } },
    spec: {
      podSelector: { matchLabels: { role: `role-${Math.floor(index / namespaces) % roles}` } },
      ...{ policyTypes: index % 3 === 0 ? ['Ingress', 'Egress'] : ['Ingress'] },
      ingress: [{ from: [peer, ...(index % 20 === 0 ? [network] : [])], ports }],
      ...(index % 3 === 0 ? { egress: [{ to: [peer], ports }] } : {}),
    },
  } as AnyObject;
}

/** One more policy of the server, for an app that no other one names. */
export const extraPolicy = (): AnyObject => policy('extra', 0, 'extra');

export function* changeObjects(): Iterable<AnyObject> {
  yield bigNamespace('p0');
  for (let i = 0; i < namespaces; i++) yield { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `shop-${i}`, labels: { team: `t${i}` } } } as AnyObject;
  yield {
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels: {} } },
    status: { addresses: [{ type: 'InternalIP', address: nodeAddress }] },
  } as AnyObject;
  yield clientPod('app-0');
  for (let i = 0; i < sizes.localPods; i++)
    yield pod(`shop-${i % namespaces}`, `server-${i}`, `10.128.0.${130 + i}`, nodeName, { role: `role-${i % roles}` });
  for (let i = 0; i < sizes.pods - 1; i++) yield pod('big', `pod-${i}`, endpointAddressOf(i), `node-${1 + (i % 100)}`, { app: `app-${i % apps}` });
  for (let i = 0; i < sizes.policies; i++) yield policy(`policy-${i}`, i, `app-${i % apps}`);
}
