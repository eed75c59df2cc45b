import { desiredEndpoints } from '../controllers/endpoints/desired.ts';
import { hasSelector, managedByLabel, serviceNameLabel, sliceController, sliceMeta } from '../controllers/endpoints/labels.ts';
import { reconcileSlices } from '../controllers/endpoints/slices.ts';
import { jsonEqual, key, podIps } from '../kube/objects.ts';
import { Services } from '../kube/resources.ts';
import { fromMap, matches } from '../kube/selectors.ts';
import type { EndpointSlice, Node, Pod, Service } from '../kube/types.ts';
import { clusterDnsPod, isClusterDns } from '../policy/cluster-dns.ts';
import { groupBy } from '../policy/group-by.ts';
import type { Inventory } from '../policy/manifests.ts';
import type { AnyObject } from '../policy/policies.ts';
import { type PolicyPod, podKey, type World } from '../policy/world.ts';
import { completeService, hash } from './made-up.ts';

/** All that the kernels of a cluster's nodes follow from: objects, completed by what control planes make of them. */
export interface Cluster {
  /** Without pods that only stand for cluster DNS, which are `dns`. */
  world: World;
  dns: readonly PolicyPod[];
  services: readonly Service[];
  slices: readonly EndpointSlice[];
  pods: readonly Pod[];
  nodes: readonly Node[];
}

/** What is there now: its slices as they stand; for Services of manifests, that have none, as they would be made. */
export function clusterOf(objects: readonly AnyObject[], inventory: Inventory): Cluster {
  const { pods, nodes, world, dns } = facts(objects, inventory);
  const services = of<Service>(objects, 'Service').map((service) => completeService(service));
  const given = of<EndpointSlice>(objects, 'EndpointSlice');
  const has = new Set(given.map(serviceOfSlice));
  const [podsIn, nodeCalled] = [byNamespace(pods), byName(nodes)];
  const made = services
    .filter((service) => !has.has(key(service)))
    .flatMap((service) => slicesOf(service, [], podsIn, nodeCalled));
  return { world, dns, services, slices: [...given, ...made], pods, nodes };
}

/** What follows once objects are others: addresses and slots of what stays are kept, slices follow Services and pods as the endpoints controller writes them. */
export function clusterAfter(before: Cluster, objects: readonly AnyObject[], inventory: Inventory): Cluster {
  const { pods, nodes, world, dns } = facts(objects, inventory);
  const was = new Map(before.services.map((service) => [key(service), service]));
  const services = of<Service>(objects, 'Service').map((service) => completeService(service, was.get(key(service))));
  const given = new Map(of<EndpointSlice>(objects, 'EndpointSlice').map((slice) => [key(slice), slice]));
  const known = new Map([...before.slices.map((slice) => [key(slice), slice] as const), ...given]);
  const names = new Set(services.map(key));
  // Slices of a Service that goes go with it.
  const standing = [...known.values()].filter(
    (slice) => names.has(serviceOfSlice(slice) ?? '') || (given.has(key(slice)) && serviceOfSlice(slice) === undefined),
  );
  const byService = groupBy(standing, (slice) => serviceOfSlice(slice) ?? '');
  const [oldPods, newPods] = [byNamespace(before.pods), byNamespace(pods)];
  const same = new Map<string, boolean>();
  const arePodsSame = (namespace: string): boolean => {
    const known = same.get(namespace) ?? jsonEqual(oldPods.get(namespace), newPods.get(namespace));
    same.set(namespace, known);
    return known;
  };
  const nodeCalled = byName(nodes);
  const slices = services.flatMap((service) => {
    const mine = byService.get(key(service)) ?? [];
    const namespace = service.metadata.namespace ?? 'default';
    const old = was.get(key(service));
    const isSame = old && jsonEqual(old, service) && arePodsSame(namespace);
    return isSame ? mine : slicesOf(service, mine, newPods, nodeCalled);
  });
  return { world, dns, services, slices: [...slices, ...(byService.get('') ?? [])], pods, nodes };
}

const of = <T>(objects: readonly AnyObject[], kind: string): T[] => objects.filter((object) => object.kind === kind) as T[];

const serviceOfSlice = ({ metadata }: EndpointSlice): string | undefined => {
  const name = metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${metadata.namespace ?? 'default'}/${name}`;
};

const byNamespace = (pods: readonly Pod[]): Map<string, Pod[]> =>
  groupBy(pods, ({ metadata }) => metadata.namespace ?? 'default');

/** Of two of one name the first. */
const byName = (nodes: readonly Node[]): Map<string, Node> => new Map(nodes.toReversed().map((node) => [node.metadata.name, node]));

/** Pods as they run; those of manifests, which have no status, as they would. */
function facts(objects: readonly AnyObject[], { world, services }: Inventory): Pick<Cluster, 'pods' | 'nodes' | 'world' | 'dns'> {
  const nodes = nodesOf(objects, world);
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  const real = new Map(of<Pod>(objects, 'Pod').map((pod) => [key(pod), pod]));
  const answered = new Set(services.flatMap((service) => clusterDnsPod(service).addresses.map(String)));
  const standsForDns = (pod: PolicyPod): boolean =>
    isClusterDns(pod) && !real.has(podKey(pod)) && pod.addresses.some((address) => answered.has(String(address)));
  const own = world.pods
    .filter((pod) => !standsForDns(pod))
    // Which node a pod of manifests would run on nobody knows: one that follows from its name.
    .map((pod) =>
      pod.node === undefined && pod.madeUp ? { ...pod, node: nodes[hash(podKey(pod)) % nodes.length]!.metadata.name } : pod,
    );
  const pods = own
    .map((pod) => {
      const running = real.get(podKey(pod));
      return running && podIps(running).length > 0 ? running : ready(pod, known);
    })
    .filter((pod) => podIps(pod).length > 0);
  return { pods, nodes, world: { ...world, pods: own }, dns: world.pods.filter(standsForDns) };
}

/** Manifests without Nodes: those that pods name, or one for all pods. */
function nodesOf(objects: readonly AnyObject[], world: World): Node[] {
  const given = of<Node>(objects, 'Node');
  if (given.length > 0) return given;
  const named = [
    ...new Set(world.pods.flatMap(({ node, hostNetwork }) => (node === undefined || hostNetwork ? [] : [node]))),
  ].sort();
  return (named.length > 0 ? named : ['any node']).map((name, index) => ({
    metadata: { name },
    // RFC 5737, RFC 3849: documentation.
    status: {
      addresses: [`192.0.2.${(index % 254) + 1}`, `2001:db8::${index + 1}`].map((address) => ({ type: 'InternalIP', address })),
    },
  }));
}

const ready = (
  { namespace, name, labels, addresses, node, hostNetwork, ended, ports }: PolicyPod,
  nodes: ReadonlySet<string>,
): Pod => ({
  metadata: { namespace, name, labels: { ...labels } },
  spec: {
    ...(node !== undefined && nodes.has(node) ? { nodeName: node } : {}),
    ...(hostNetwork ? { hostNetwork } : {}),
    containers: [
      { name: 'c', ports: ports.map((port) => ({ name: port.name, protocol: port.protocol, containerPort: port.number })) },
    ],
  },
  status: {
    phase: ended ? 'Succeeded' : 'Running',
    podIPs: addresses.map((ip) => ({ ip: String(ip) })),
    conditions: [{ type: 'Ready', status: ended ? 'False' : 'True' }],
  },
});

/** @param mine that stand; those that others manage stay as they are */
function slicesOf(
  service: Service,
  mine: readonly EndpointSlice[],
  podsIn: ReadonlyMap<string, readonly Pod[]>,
  nodes: ReadonlyMap<string, Node>,
): EndpointSlice[] {
  if (!hasSelector(service)) return [...mine];
  const isOwn = ({ metadata }: EndpointSlice): boolean =>
    (metadata.labels?.[managedByLabel] ?? sliceController) === sliceController;
  const own = mine.filter(isOwn);
  const selector = fromMap(service.spec!.selector!);
  const pods = podsIn.get(service.metadata.namespace ?? 'default') ?? [];
  const selected = pods.filter(({ metadata }) => matches(selector, metadata.labels));
  const { groups } = desiredEndpoints(service, selected, (name) => nodes.get(name));
  const changes = reconcileSlices(own, groups, sliceMeta(Services, service, sliceController, undefined));
  const gone = new Set(changes.delete.map(key));
  const updated = new Map(changes.update.map((slice) => [key(slice), slice]));
  const taken = new Set(mine.map(({ metadata }) => metadata.name));
  const made = changes.create.map((slice, index): EndpointSlice => {
    let name = `${service.metadata.name}-${slice.addressType.toLowerCase()}-${index}`;
    while (taken.has(name)) name += 'x';
    taken.add(name);
    return { ...slice, metadata: { ...slice.metadata, name, namespace: service.metadata.namespace ?? 'default' } };
  });
  return [...mine.filter((slice) => !gone.has(key(slice))).map((slice) => updated.get(key(slice)) ?? slice), ...made];
}
