import { EndpointSlices, Endpoints, Services } from '../../kube/resources.ts';
import type { Endpoint, EndpointAddress, Endpoints as EndpointsObject } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { type Context, controller, type Running } from '../context.ts';
import type { EndpointGroup } from './desired.ts';
import { hasSelector, managedByLabel, mirroringController, sliceMeta, triggerAnnotation } from './labels.ts';
import { portsKey } from './ports.ts';
import { sliceServiceIndex } from './slice-controller.ts';
import { reconcileSlices } from './slices.ts';
import { writeSlices } from './writer.ts';

const maxPerSubset = 1000;

/** The slices that say the same as an Endpoints object: one group per set of ports and family. */
export function mirroredGroups(endpoints: EndpointsObject): EndpointGroup[] {
  const groups = new Map<string, EndpointGroup>();
  for (const subset of endpoints.subsets ?? []) {
    let room = maxPerSubset;
    const ports = (subset.ports ?? []).map(({ name = '', protocol = 'TCP', ...rest }) => ({ name, protocol, ...rest }));
    const add = (address: EndpointAddress, ready: boolean): void => {
      const ip = IpAddr.tryParse(address.ip);
      if (!ip || room-- <= 0) return;
      const addressType = ip.family === 'ipv4' ? 'IPv4' : 'IPv6';
      const id = `${addressType} ${portsKey(ports)}`;
      const group = groups.get(id) ?? { addressType, ports, endpoints: [] };
      groups.set(id, group);
      const { hostname, nodeName, targetRef } = address;
      const endpoint: Endpoint = {
        addresses: [ip.toString()],
        conditions: { ready },
        ...(hostname ? { hostname } : {}),
        ...(nodeName ? { nodeName } : {}),
        ...(targetRef ? { targetRef } : {}),
      };
      group.endpoints.push(endpoint);
    };
    for (const address of subset.addresses ?? []) add(address, true);
    for (const address of subset.notReadyAddresses ?? []) add(address, false);
  }
  return [...groups.values()];
}

/** Mirrors the Endpoints of Services without a selector, which people write by hand, into EndpointSlices (ES12). */
export function mirroringControllerOf(context: Context): Running {
  const { api, informers } = context;
  const services = informers.of(Services);
  const endpoints = informers.of(Endpoints);
  const slices = informers.of(EndpointSlices);
  slices.addIndex('service', sliceServiceIndex);
  const running = controller(context, {
    name: 'endpoint-slice-mirroring-controller',
    informers: [services, endpoints, slices],
    work: sync,
  });
  const { queue } = running;

  const isMirrored = (key: string, object: EndpointsObject): boolean => {
    const service = services.get(key);
    const { labels, annotations, deletionTimestamp } = object.metadata;
    return (
      service !== undefined &&
      !hasSelector(service) &&
      service.spec?.type !== 'ExternalName' &&
      !deletionTimestamp &&
      labels?.['endpointslice.kubernetes.io/skip-mirror'] !== 'true' &&
      annotations?.['control-plane.alpha.kubernetes.io/leader'] === undefined
    );
  };

  async function sync(key: string): Promise<void> {
    const object = endpoints.get(key);
    const mine = slices
      .byIndex('service', key)
      .filter(({ metadata }) => metadata.labels?.[managedByLabel] === mirroringController);
    if (!object || !isMirrored(key, object)) {
      await writeSlices(api, slices, { create: [], update: [], delete: mine });
      return;
    }
    const meta = sliceMeta(Endpoints, object, mirroringController, object.metadata.annotations?.[triggerAnnotation]);
    await writeSlices(api, slices, reconcileSlices(mine, mirroredGroups(object), meta, maxPerSubset));
  }

  const offs = [
    ...[services, endpoints].map((informer) =>
      informer.onChange((changes: readonly { key: string }[]) => {
        for (const change of changes) queue.add(change.key);
      }),
    ),
    slices.onChange((changes) => {
      for (const { object } of changes)
        if (object.metadata.labels?.[managedByLabel] === mirroringController)
          for (const key of sliceServiceIndex(object)) queue.add(key);
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
