import { readCluster } from '../../policy/manifests.ts';
import type { AnyObject } from '../../policy/policies.ts';
import { node } from '../../policy/testkit/objects.ts';
import { Random, randomCase, randomSelector } from '../../policy/testkit/random.ts';
import { randomNetworksCase } from '../../policy/testkit/random-networks.ts';
import { type Cluster, clusterAfter, clusterOf } from '../cluster.ts';

const service = (random: Random, name: string): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: random.pick(['red', 'blue', 'green']), name } },
    spec: {
      type: random.pick(['ClusterIP', 'ClusterIP', 'NodePort', 'LoadBalancer']),
      selector: { [random.pick(['app', 'tier'])]: random.pick(['a', 'b']) },
      ...(random.chance(0.4) ? { ipFamilyPolicy: 'PreferDualStack' } : {}),
      ...(random.chance(0.2) ? { sessionAffinity: 'ClientIP' } : {}),
      ...(random.chance(0.2) ? { internalTrafficPolicy: 'Local' } : {}),
      ...(random.chance(0.2) ? { externalTrafficPolicy: 'Local' } : {}),
      ports: [
        { name: 'web', port: random.pick([80, 81]), targetPort: random.pick<string | number>(['web', 8080]) },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    },
  }) as AnyObject;

export interface ObjectsChange {
  before: AnyObject[];
  after: AnyObject[];
}

const nameOf = ({ kind, metadata }: AnyObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

/** Cluster DNS that each node answers itself: to policies its address is a pod. */
const dnsService = (random: Random): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'kube-system', name: 'kube-dns', labels: { 'kubernetes.io/name': 'podnet-dns' } } },
    spec: {
      selector: { 'k8s-app': random.pick(['kube-dns', 'other']) },
      clusterIPs: random.pick([['10.96.0.10'], ['10.96.0.10', 'fd00:10:96::a']]),
      ports: [{ name: 'dns', port: 53, protocol: 'UDP' }, ...(random.chance(0.5) ? [{ name: 'dns-tcp', port: 53, protocol: 'TCP' }] : [])],
    },
  }) as AnyObject;

interface WithStatus extends AnyObject {
  status?: { phase?: string; podIPs?: { ip: string }[]; addresses?: { type: string; address: string }[] };
}

const relabelled = (object: AnyObject, random: Random): AnyObject =>
  ({ ...object, metadata: { ...object.metadata, labels: { app: random.pick(['a', 'b']) } } }) as AnyObject;

/** One object as the change leaves it. */
function changedObject(object: WithStatus, random: Random): AnyObject {
  const { kind, metadata, status } = object;
  const isNow = (chance: number): boolean => random.chance(chance);
  if (kind === 'Service' && isNow(0.4))
    return metadata.name === 'kube-dns' ? dnsService(random) : { ...service(random, metadata.name), metadata };
  if ((kind === 'Pod' || kind === 'Namespace' || kind === 'Node') && isNow(0.2)) return relabelled(object, random);
  if (kind === 'Pod' && isNow(0.1)) return { ...object, status: { ...status, phase: random.pick(['Succeeded', 'Failed']) } } as AnyObject;
  if (kind === 'Pod' && isNow(0.1)) return { ...object, status: { ...status, podIPs: status?.podIPs?.slice(1) } } as AnyObject;
  if (kind === 'Node' && isNow(0.15)) {
    const stay = (status?.addresses ?? []).slice(random.pick([0, 1]));
    const addresses = [{ type: 'InternalIP', address: random.pick(['203.0.113.5', '2001:db8:ffff::1']) }, ...stay];
    return { ...object, status: { ...status, addresses } } as AnyObject;
  }
  if (kind === 'NetworkPolicy' && isNow(0.3)) return { ...object, spec: { ...(object.spec as object), podSelector: randomSelector(random) } };
  if (kind === 'ClusterNetworkPolicy' && isNow(0.3)) return { ...object, spec: { ...(object.spec as object), priority: random.whole(0, 5) } };
  return object;
}

/** A cluster, and what it is after a change that takes, gives and changes policies, Services, pods, nodes and labels. */
export function randomChange(seed: number): ObjectsChange {
  const random = new Random(seed);
  const services = random.times(1, 6, (index) => service(random, `s${index}`));
  const { objects } = random.chance(0.3) ? randomNetworksCase(seed) : randomCase(seed);
  const before = [...objects, ...services, ...(random.chance(0.5) ? [dnsService(random)] : [])];
  const others = randomCase(seed + 1_000_000).objects.filter(({ kind }) => kind?.endsWith('NetworkPolicy'));
  const changed = before
    .filter(({ kind }) => random.chance(kind === 'Node' || kind === 'Namespace' ? 0.97 : 0.85))
    .map((object) => changedObject(object, random));
  const more = random.shuffle([
    ...others.slice(0, random.whole(0, 3)),
    ...[service(random, 'new'), ...(random.chance(0.1) ? [dnsService(random)] : [])],
    ...(random.chance(0.1) ? [node('n3', ['192.0.2.3', '2001:db8:0:1::3'], { app: random.pick(['a', 'b']) })] : []),
  ]);
  return { before, after: [...new Map([...changed, ...more].map((object) => [nameOf(object), object])).values()] };
}

/** Policies alone come, go and change. */
export function randomPolicyChange(seed: number): ObjectsChange {
  const random = new Random(seed);
  const { before, after } = randomChange(seed);
  const isPolicy = ({ kind }: AnyObject): boolean => kind?.endsWith('NetworkPolicy') ?? false;
  const others = before.filter((object) => !isPolicy(object));
  const [old, now] = [before, after].map((objects) => objects.filter(isPolicy));
  const few = random.chance(0.7) ? [...old!.slice(1), ...random.shuffle(now!).slice(0, 1)] : now!;
  return { before, after: [...new Map([...others, ...few].map((object) => [nameOf(object), object])).values()] };
}

export function clusters({ before, after }: ObjectsChange): { now: Cluster; later: Cluster } {
  const now = clusterOf(before, readCluster(before));
  return { now, later: clusterAfter(now, after, readCluster(after)) };
}

