import { excludeLabel, loadBalancerClass } from '../../announce/index.ts';
import { isDeleting, isNodeReady, jsonEqual } from '../../kube/objects.ts';
import { Nodes, Services } from '../../kube/resources.ts';
import type { LoadBalancerIngress, Node, Service } from '../../kube/types.ts';
import { type Family, IpAddr } from '../../net/ip.ts';
import { IpRange } from '../../net/range.ts';
import { type Context, controller, type Running } from '../context.ts';
import { AddressPool } from './pool.ts';

export interface LoadBalancerOptions {
  /** What addresses are given: `FIRST-LAST` or CIDRs, of either family. */
  pools: readonly string[];
}

/** Of k8s.io/cloud-provider: while it stands the Service stays, so that no address is given away that somebody still announces. */
export const cleanupFinalizer = 'service.kubernetes.io/load-balancer-cleanup';

const wants = (service: Service): boolean => service.spec?.type === 'LoadBalancer' && !isDeleting(service);
const isOurs = ({ spec }: Service): boolean =>
  spec?.loadBalancerClass === undefined || spec.loadBalancerClass === loadBalancerClass;
const hasFinalizer = ({ metadata }: Service): boolean => metadata.finalizers?.includes(cleanupFinalizer) ?? false;
const eligible = (node: Node): boolean =>
  isNodeReady(node) && !isDeleting(node) && node.metadata.labels?.[excludeLabel] === undefined;

/**
 * Gives Services of type LoadBalancer addresses of a pool, one for each of their families, and takes them back when the Service goes or changes
 * its type: the part of a cloud's service controller. The nodes' agents announce the addresses; nothing is announced from here.
 * What stands in the status of Services counts as given, so that a restart changes nothing.
 */
export function loadBalancerController(context: Context, { pools }: LoadBalancerOptions): Running {
  const { api, informers } = context;
  const services = informers.of(Services);
  const nodes = informers.of(Nodes);
  const pool = new AddressPool(pools.map((text) => IpRange.parse(text)));
  /** Services whose wish could not be fulfilled: looked at again when an address comes free. */
  const waiting = new Set<string>();
  // Whatever was given stays: taken in, oldest Service first, before the first new address is given.
  const taken = services.synced.then(() => {
    const age = ({ metadata }: Service): string => `${metadata.creationTimestamp} ${metadata.uid}`;
    for (const service of services.list().sort((a, b) => (age(a) < age(b) ? -1 : 1)))
      if (wants(service) && isOurs(service)) for (const ip of addressesOf(service)) pool.take(ip, uidOf(service));
  });
  const running = controller(context, {
    name: 'service-controller',
    informers: [services, nodes, { synced: taken }],
    work: async (key) => {
      waiting.delete(key);
      const service = services.get(key);
      if (!service) return;
      if (wants(service) && isOurs(service)) await ensure(key, service);
      // One of another class is another's, its finalizer too.
      else if (hasFinalizer(service) && (isOurs(service) || service.spec?.type !== 'LoadBalancer')) await cleanUp(service);
    },
    // One after the other: who comes first gets the address.
    concurrency: 1,
  });
  const { queue, events } = running;

  async function ensure(key: string, service: Service): Promise<void> {
    let fresh = service;
    if (!hasFinalizer(service)) {
      events.event(Services, service, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer');
      fresh = await write(service, { finalizers: [...(service.metadata.finalizers ?? []), cleanupFinalizer] });
    }
    const { ips, faults } = choose(fresh);
    for (const message of faults) {
      waiting.add(key);
      events.event(Services, fresh, 'Warning', 'SyncLoadBalancerFailed', `Error syncing load balancer: ${message}`);
    }
    for (const ip of pool.addressesOf(uidOf(fresh))) if (!ips.some((one) => one.equals(ip))) release(ip, uidOf(fresh));
    const ingress = ips.map((ip): LoadBalancerIngress => ({ ip: ip.toString(), ipMode: 'VIP' }));
    if (jsonEqual(ingress, fresh.status?.loadBalancer?.ingress ?? [])) return;
    await writeStatus(fresh, ingress);
    if (ips.length > 0) events.event(Services, fresh, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer');
    if (!nodes.list().some(eligible))
      events.event(Services, fresh, 'Warning', 'UnAvailableLoadBalancer', 'There are no available nodes for LoadBalancer');
  }

  /** Takes an address for each family of the Service: the one asked for, else the one it has, else the next free one. */
  function choose(service: Service): { ips: IpAddr[]; faults: string[] } {
    const { ipFamilies = ['IPv4'], loadBalancerIP } = service.spec ?? {};
    const holder = uidOf(service);
    const asked = loadBalancerIP ? IpAddr.tryParse(loadBalancerIP) : undefined;
    const faults: string[] = [];
    const families = ipFamilies.map((name): Family => (name === 'IPv6' ? 'ipv6' : 'ipv4'));
    if (loadBalancerIP && !asked) faults.push(`spec.loadBalancerIP ${loadBalancerIP} is no IP address`);
    else if (asked && !families.includes(asked.family))
      faults.push(`spec.loadBalancerIP ${asked} is ${asked.family}; the Service has ${families.join(', ')} only`);
    const ips = families.flatMap((family) => {
      if (asked?.family === family) {
        if (pool.take(asked, holder)) return asked;
        const inside = pool.contains(asked)
          ? 'is given to another Service'
          : `is outside of the pools (${pool.ranges.join(', ')})`;
        faults.push(`spec.loadBalancerIP ${asked} ${inside}`);
        return [];
      }
      const present = addressesOf(service).find((ip) => ip.family === family && pool.take(ip, holder));
      const ip = present ?? pool.takeNext(family, holder);
      if (!ip) faults.push(`no ${family} address is free in the pools (${pool.ranges.join(', ') || 'there are none'})`);
      return ip ?? [];
    });
    return { ips, faults };
  }

  async function cleanUp(service: Service): Promise<void> {
    events.event(Services, service, 'Normal', 'DeletingLoadBalancer', 'Deleting load balancer');
    let fresh = service;
    if (service.status?.loadBalancer?.ingress?.length) fresh = await writeStatus(service, undefined);
    await write(fresh, { finalizers: (fresh.metadata.finalizers ?? []).filter((name) => name !== cleanupFinalizer) });
    for (const ip of pool.addressesOf(uidOf(service))) release(ip, uidOf(service));
    events.event(Services, service, 'Normal', 'DeletedLoadBalancer', 'Deleted load balancer');
  }

  function release(ip: IpAddr, holder: string): void {
    if (pool.release(ip, holder)) for (const key of waiting) queue.add(key);
  }

  const write = (service: Service, metadata: { finalizers: string[] }): Promise<Service> =>
    patch(service, { metadata: { ...metadata, resourceVersion: service.metadata.resourceVersion } });

  const writeStatus = (service: Service, ingress: LoadBalancerIngress[] | undefined): Promise<Service> =>
    patch(service, { status: { loadBalancer: { ingress: ingress?.length ? ingress : null } } }, 'status');

  async function patch({ metadata }: Service, body: unknown, subresource?: 'status'): Promise<Service> {
    const options = subresource ? { subresource } : {};
    const written = await api.patch(Services, metadata.name, metadata.namespace, body, 'merge', options);
    await services.hasSeen(written.metadata.resourceVersion);
    return written;
  }

  const off = services.onChange((changes) => {
    for (const { type, key, object } of changes) {
      // Gone without our leave: somebody took the finalizer away.
      if (type === 'deleted') for (const ip of pool.addressesOf(uidOf(object))) release(ip, uidOf(object));
      queue.add(key);
    }
  });
  return {
    ready: running.ready,
    stop() {
      off();
      running.stop();
    },
  };
}

const uidOf = ({ metadata }: Service): string => metadata.uid ?? '';

const addressesOf = ({ status }: Service): IpAddr[] =>
  (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip && IpAddr.tryParse(ip)) || []);
