import { isNotFound } from '../../kube/api.ts';
import { isDeleting, isPodFinished, isPodReady, jsonEqual, key, podIps } from '../../kube/objects.ts';
import { Endpoints, Pods, Services } from '../../kube/resources.ts';
import type { EndpointAddress, EndpointSubset, Endpoints as EndpointsObject, Pod, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { type Context, controller, indexedPods, type Running } from '../context.ts';
import { addressTypesOf } from './desired.ts';
import { hasSelector, headlessLabel, isHeadless, triggerAnnotation } from './labels.ts';
import { portsKey, portsOf } from './ports.ts';
import { affectedServices, selectedPods } from './selecting.ts';
import { triggerTime } from './slice-controller.ts';

const managedBy = 'endpoints.kubernetes.io/managed-by';
const overCapacity = 'endpoints.kubernetes.io/over-capacity';
const maxAddresses = 1000;

/** What the Endpoints of a Service should hold: its primary family only, terminating pods left out (ES11). Sorted, at most 1000 addresses. */
export function subsetsOf(service: Service, pods: readonly Pod[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const publishNotReady = Boolean(service.spec?.publishNotReadyAddresses);
  const [family] = addressTypesOf(service);
  const groups = new Map<string, Required<EndpointSubset>>();
  for (const pod of pods) {
    if (isPodFinished(pod) || (isDeleting(pod) && !publishNotReady)) continue;
    const ip = podIps(pod)
      .map((text) => IpAddr.tryParse(text))
      .find((one) => one && (one.family === 'ipv4') === (family === 'IPv4'));
    if (!ip) continue;
    const ports = portsOf(service, pod);
    if (ports.length === 0 && (service.spec?.ports?.length ?? 0) > 0) continue;
    const { hostname, subdomain, nodeName } = pod.spec ?? {};
    const { name, namespace, uid } = pod.metadata;
    const address: EndpointAddress = {
      ip: ip.toString(),
      ...(hostname && subdomain === service.metadata.name ? { hostname } : {}),
      ...(nodeName ? { nodeName } : {}),
      targetRef: { kind: 'Pod', name, namespace, uid },
    };
    const id = portsKey(ports);
    // Names are optional here and '' in slices.
    const itsPorts = ports.map(({ name: portName, port, ...rest }) => ({
      ...(portName ? { name: portName } : {}),
      port: port!,
      ...rest,
    }));
    const group = groups.get(id) ?? { addresses: [], notReadyAddresses: [], ports: itsPorts };
    groups.set(id, group);
    (isPodReady(pod) || publishNotReady ? group.addresses : group.notReadyAddresses).push(address);
  }
  let room = maxAddresses;
  let truncated = false;
  const take = (addresses: EndpointAddress[]): EndpointAddress[] => {
    const taken = addresses.sort((a, b) => IpAddr.parse(a.ip).compare(IpAddr.parse(b.ip))).slice(0, room);
    if (taken.length < addresses.length) truncated = true;
    room -= taken.length;
    return taken;
  };
  const ordered = [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  // Ready addresses of all groups come before those that are not.
  const ready = ordered.map(({ addresses }) => take(addresses));
  const subsets = ordered.map(({ notReadyAddresses, ports }, i): EndpointSubset => {
    const notReady = take(notReadyAddresses);
    return {
      ...(ready[i]!.length > 0 ? { addresses: ready[i]! } : {}),
      ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    };
  });
  return { subsets: subsets.filter((subset) => subset.addresses || subset.notReadyAddresses), truncated };
}

/** Keeps the Endpoints objects of Services with a selector: deprecated, and still what many things read. */
export function endpointsController(context: Context): Running {
  const { api, informers } = context;
  const services = informers.of(Services);
  const pods = indexedPods(informers, Pods);
  const endpoints = informers.of(Endpoints);
  services.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  const running = controller(context, { name: 'endpoint-controller', informers: [services, pods, endpoints], work: sync });
  const { queue } = running;

  async function sync(serviceKey: string): Promise<void> {
    const service = services.get(serviceKey);
    const old = endpoints.get(serviceKey);
    if (!service || isDeleting(service)) {
      if (old?.metadata.labels?.[managedBy] === 'endpoint-controller') await remove(old);
      return;
    }
    if (!hasSelector(service)) return;
    const selected = selectedPods(service, pods);
    const { subsets, truncated } = subsetsOf(service, selected);
    const labels = {
      ...service.metadata.labels,
      [managedBy]: 'endpoint-controller',
      ...(isHeadless(service) ? { [headlessLabel]: '' } : {}),
    };
    if (!isHeadless(service)) delete (labels as Record<string, string>)[headlessLabel];
    const annotations: Record<string, string> = { ...old?.metadata.annotations };
    delete annotations[overCapacity];
    if (truncated) annotations[overCapacity] = 'truncated';
    if (
      old &&
      jsonEqual(old.subsets ?? [], subsets) &&
      jsonEqual(old.metadata.labels ?? {}, labels) &&
      old.metadata.annotations?.[overCapacity] === annotations[overCapacity]
    )
      return;
    const trigger = triggerTime(service, selected);
    if (trigger) annotations[triggerAnnotation] = trigger;
    const { name, namespace } = service.metadata;
    const metadata = { ...(old?.metadata ?? { name, namespace }), labels, annotations };
    const next: EndpointsObject = { metadata, subsets };
    const written = await (old ? api.update(Endpoints, next) : api.create(Endpoints, next));
    await endpoints.hasSeen(written.metadata.resourceVersion);
  }

  async function remove(old: EndpointsObject): Promise<void> {
    const { name, namespace, uid } = old.metadata;
    try {
      await api.delete(Endpoints, name, namespace, { preconditions: { uid: uid! } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await endpoints.hasSeenDeletion(key(old), uid);
  }

  const offs = [
    services.onChange((changes) => {
      for (const change of changes) queue.add(change.key);
    }),
    pods.onChange((changes) => {
      for (const serviceKey of affectedServices(changes, services)) queue.add(serviceKey);
    }),
    endpoints.onChange((changes) => {
      for (const change of changes) queue.add(change.key);
    }),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
