import { isAlreadyExists, isNotFound } from '../../kube/api.ts';
import { IPAddresses, ServiceCIDRs, Services } from '../../kube/resources.ts';
import type { IPAddress, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { type Context, controller, type Running } from '../context.ts';
import { allocator, familyLabel, managedByLabel, prefixesOf } from './ranges.ts';

/** An IPAddress may be older than what is known of its Service, but not by so much. */
const graceMs = 60_000;

/**
 * Brings Services and IPAddress objects together again (IP3), with the events of kube-apiserver's repair loop: a cluster address without an object gets
 * one, an object whose Service is gone goes. Objects that others made (gateways) are left alone.
 */
export function serviceIpRepairController(context: Context): Running {
  const { api, informers, now } = context;
  const services = informers.of(Services);
  const addresses = informers.of(IPAddresses);
  const cidrs = informers.of(ServiceCIDRs);
  const running = controller(context, {
    name: 'ipallocator-repair-controller',
    informers: [services, addresses, cidrs],
    work: (key) => (key.startsWith('service ') ? mendService(key.slice(8)) : mendAddress(key.slice(3))),
  });
  const { queue, events } = running;

  async function mendService(key: string): Promise<undefined> {
    const service = services.get(key);
    if (!service) return;
    for (const text of clusterIps(service)) {
      const ip = IpAddr.tryParse(text);
      const what = `Cluster IP [IPv${text.includes(':') ? 6 : 4}]: ${text}`;
      const warn = (reason: string, message: string): void =>
        events.event(Services, service, 'Warning', reason, `${what} ${message}`);
      if (!ip) {
        warn('ClusterIPNotValid', 'is not a valid IP; please recreate service');
        continue;
      }
      const ranges = cidrs.list().flatMap(prefixesOf);
      if (!ranges.some((prefix) => prefix.contains(ip)))
        warn('ClusterIPOutOfRange', 'is not within any configured Service CIDR; please recreate service');
      const object = addresses.get(ip.toString());
      if (object && refersTo(object, service)) continue;
      // The caches of two resources do not tell of one moment: what is written follows from what stands in the API now.
      if (!(await stillHas(service, text))) return;
      const present = await orNone(api.get(IPAddresses, ip.toString()));
      if (!present) {
        warn('ClusterIPNotAllocated', 'is not allocated; repairing');
        await make(ip, service);
      } else if (!refersTo(present, service)) {
        const other = serviceOf(present);
        const holder = other === undefined ? undefined : services.get(other);
        if (holder && clusterIps(holder).includes(text))
          warn('ClusterIPAlreadyAllocated', `was assigned to multiple services (${other}); please recreate service`);
        else {
          events.event(
            IPAddresses,
            present,
            'Warning',
            'IPAddressWrongReference',
            `IPAddress: ${text} for Service ${key} has a wrong reference; cleaning up`,
          );
          await remove(present);
          await make(ip, service);
        }
      }
    }
  }

  async function mendAddress(name: string): Promise<number | undefined> {
    const object = addresses.get(name);
    if (object?.metadata.labels?.[managedByLabel] !== allocator) return undefined;
    const key = serviceOf(object);
    const service = key === undefined ? undefined : services.get(key);
    if (service && clusterIps(service).includes(name)) return undefined;
    const age = now() - Date.parse(object.metadata.creationTimestamp ?? '');
    if (age < graceMs) return graceMs - age;
    events.event(
      IPAddresses,
      object,
      'Warning',
      'IPAddressNotAllocated',
      `IPAddress: ${name} for Service ${key} appears to have leaked: cleaning up`,
    );
    await remove(object);
    return undefined;
  }

  async function stillHas({ metadata }: Service, ip: string): Promise<boolean> {
    const fresh = await orNone(api.get(Services, metadata.name, metadata.namespace));
    return fresh !== undefined && clusterIps(fresh).includes(ip);
  }

  async function make(ip: IpAddr, { metadata }: Service): Promise<void> {
    const object: IPAddress = {
      metadata: {
        name: ip.toString(),
        labels: { [familyLabel]: ip.family === 'ipv4' ? 'IPv4' : 'IPv6', [managedByLabel]: allocator },
      },
      spec: { parentRef: { group: '', resource: 'services', namespace: metadata.namespace, name: metadata.name } },
    };
    try {
      const written = await api.create(IPAddresses, object);
      await addresses.hasSeen(written.metadata.resourceVersion);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async function remove({ metadata }: IPAddress): Promise<void> {
    try {
      await api.delete(IPAddresses, metadata.name, undefined, { preconditions: { uid: metadata.uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [
    services.onChange((changes) => {
      for (const { type, key, object } of changes) {
        if (type !== 'deleted') queue.add(`service ${key}`);
        else for (const ip of clusterIps(object)) queue.add(`ip ${ip}`);
      }
    }),
    addresses.onChange((changes) => {
      for (const { type, key, object } of changes) {
        if (type !== 'deleted') queue.add(`ip ${key}`);
        const service = serviceOf(object);
        if (service !== undefined) queue.add(`service ${service}`);
      }
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

const orNone = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });

const clusterIps = ({ spec }: Service): string[] =>
  spec?.type === 'ExternalName' ? [] : (spec?.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== 'None');

/** The key of the Service that an address is recorded for. */
const serviceOf = ({ spec }: IPAddress): string | undefined =>
  spec?.parentRef?.resource === 'services' ? `${spec.parentRef.namespace}/${spec.parentRef.name}` : undefined;

const refersTo = (object: IPAddress, { metadata }: Service): boolean =>
  serviceOf(object) === `${metadata.namespace}/${metadata.name}`;
