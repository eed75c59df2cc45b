import { controllerOf, isPodFinished, podIps } from '../kube/objects.ts';
import type { Container, Namespace, Node, Pod } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { type PortProtocol, portProtocols } from './model.ts';
import { type AnyObject, readPolicy } from './policies.ts';
import {
  labelsOfNamespace,
  makeWorld,
  type PodPort,
  type PolicyNode,
  type PolicyPod,
  type World,
  type WorldParts,
} from './world.ts';

/** A world of the objects that matter to policies: Namespaces, Nodes, Pods, and policies of every kind; all others are passed over. */
export const readWorld = (objects: readonly AnyObject[], resolved?: World['resolved']): World =>
  makeWorld({ ...readParts(objects), ...(resolved ? { resolved } : {}) });

export function readParts(objects: readonly AnyObject[]): Required<Omit<WorldParts, 'resolved'>> {
  const of = <T>(kind: string): T[] => objects.filter((object) => object.apiVersion === 'v1' && object.kind === kind) as T[];
  return {
    namespaces: new Map(
      of<Namespace>('Namespace').map(({ metadata: { name, labels } }) => [name, labelsOfNamespace(name, labels)]),
    ),
    pods: of<Pod>('Pod').map(podOf),
    nodes: of<Node>('Node').map(nodeOf),
    policies: objects.map(readPolicy).filter((policy) => policy !== undefined),
  };
}

/** A Pod as policies see it. */
export function podOf(pod: Pod): PolicyPod {
  const { namespace = 'default', name, labels = {} } = pod.metadata;
  return {
    ...{ namespace, name, labels, node: pod.spec?.nodeName || undefined },
    addresses: addresses(podIps(pod)),
    hostNetwork: pod.spec?.hostNetwork === true,
    ended: isPodFinished(pod),
    ports: portsOf(pod),
    ...createdOf(pod),
    ...workloadOf(pod),
  };
}

function createdOf({ metadata }: Pod): Pick<PolicyPod, 'created'> {
  const created = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(created) ? {} : { created };
}

/** What made it; behind a ReplicaSet with a template's hash stands a Deployment. */
function workloadOf({ metadata }: Pod): Pick<PolicyPod, 'workload'> {
  const owner = controllerOf({ metadata });
  if (!owner) return {};
  const hash = metadata.labels?.['pod-template-hash'];
  const isDeployments = owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`);
  return { workload: isDeployments ? `Deployment/${owner.name.slice(0, -hash.length - 1)}` : `${owner.kind}/${owner.name}` };
}

export const nodeOf = ({ metadata: { name, labels = {} }, status }: Node): PolicyNode => ({
  ...{ name, labels },
  addresses: addresses((status?.addresses ?? []).map(({ address }) => address)),
});

/** Names of hosts are among a Node's addresses; they are none. */
const addresses = (texts: readonly string[]): IpAddr[] =>
  texts.map((text) => IpAddr.tryParse(text)).filter((address) => address !== undefined);

/** Of the containers and the sidecars (restartable init containers): what runs while the pod serves. */
function portsOf({ spec }: Pod): PodPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...(spec?.containers ?? []), ...sidecars].flatMap(containerPorts);
}

const containerPorts = ({ ports }: Container): PodPort[] =>
  (ports ?? [])
    .filter(({ protocol = 'TCP' }) => portProtocols.includes(protocol as PortProtocol))
    .map(({ name, protocol = 'TCP', containerPort }) => ({
      ...(name ? { name } : {}),
      protocol: protocol as PortProtocol,
      number: containerPort,
    }));
