import { podCondition } from '../../kube/objects.ts';
import { EndpointSlices, Nodes, Pods, Services } from '../../kube/resources.ts';
import type { EndpointSlice, Pod, Service } from '../../kube/types.ts';
import { type Context, controller, indexedPods, type Running } from '../context.ts';
import { desiredEndpoints, zoneLabel } from './desired.ts';
import { hasSelector, isHeadless, managedByLabel, serviceNameLabel, sliceController, sliceMeta } from './labels.ts';
import { affectedServices, selectedPods } from './selecting.ts';
import { reconcileSlices } from './slices.ts';
import { deleteSlice, writeSlices } from './writer.ts';

/** Keeps the EndpointSlices of Services with a selector (ES1 to ES10, ES14). */
export function endpointSliceController(context: Context, maxEndpointsPerSlice = 100): Running {
  const { api, informers } = context;
  const services = informers.of(Services);
  const pods = indexedPods(informers, Pods);
  const nodes = informers.of(Nodes);
  const slices = informers.of(EndpointSlices);
  services.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  slices.addIndex('service', sliceServiceIndex);
  const waitingForNode = new Set<string>();
  const running = controller(context, {
    name: 'endpoint-slice-controller',
    informers: [services, pods, nodes, slices],
    work: sync,
  });
  const { queue } = running;

  async function sync(serviceKey: string): Promise<void> {
    waitingForNode.delete(serviceKey);
    const service = services.get(serviceKey);
    let mine = slices
      .byIndex('service', serviceKey)
      .filter(({ metadata }) => metadata.labels?.[managedByLabel] === sliceController);
    // ES8: slices of an earlier Service of this name, and of one that is gone. (One that lost its selector keeps them, as the real ones do.)
    const foreign = mine.filter(
      ({ metadata }) => !service || !metadata.ownerReferences?.some(({ uid }) => uid === service.metadata.uid),
    );
    for (const slice of foreign) await deleteSlice(api, slices, slice);
    if (!service || service.metadata.deletionTimestamp || !hasSelector(service)) return;
    mine = mine.filter((slice) => !foreign.includes(slice));
    const selected = selectedPods(service, pods);
    const { groups, missingNodes } = desiredEndpoints(service, selected, (name) => nodes.get(name));
    if (missingNodes) waitingForNode.add(serviceKey);
    const meta = sliceMeta(Services, service, sliceController, triggerTime(service, selected), isHeadless(service));
    await writeSlices(api, slices, reconcileSlices(mine, groups, meta, maxEndpointsPerSlice));
  }

  const offs = [
    services.onChange((changes) => {
      for (const change of changes) queue.add(change.key);
    }),
    pods.onChange((changes) => {
      for (const serviceKey of affectedServices(changes, services)) queue.add(serviceKey);
    }),
    // Slices that others changed or deleted are mended; those without a Service go.
    slices.onChange((changes) => {
      for (const { object } of changes)
        if (object.metadata.labels?.[managedByLabel] === sliceController)
          for (const name of sliceServiceIndex(object)) queue.add(name);
    }),
    nodes.onChange((changes) => {
      if (changes.some(({ type }) => type === 'added')) for (const waiting of waitingForNode) queue.add(waiting);
      for (const { type, object, previous } of changes) {
        if (type === 'modified' && previous?.metadata.labels?.[zoneLabel] === object.metadata.labels?.[zoneLabel]) continue;
        const there = pods.byIndex('node', object.metadata.name);
        const affected = affectedServices(
          there.map((pod) => ({ type: 'added' as const, key: '', object: pod })),
          services,
        );
        for (const serviceKey of affected) queue.add(serviceKey);
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

/** Index `service`: the key of the Service that a slice says it is of. */
export const sliceServiceIndex = ({ metadata }: EndpointSlice): string[] => {
  const name = metadata.labels?.[serviceNameLabel];
  return name ? [`${metadata.namespace}/${name}`] : [];
};

/** When the newest thing happened that endpoints of this Service tell: a pod's readiness, or the Service itself. */
export function triggerTime(service: Service, pods: readonly Pod[]): string | undefined {
  const times = [service.metadata.creationTimestamp, ...pods.map((pod) => podCondition(pod, 'Ready')?.lastTransitionTime)];
  return times
    .filter((time) => time !== undefined)
    .sort()
    .at(-1);
}
