import { qualifiedName } from '../../kube/resources.ts';
import type { Event, ObjectReference } from '../../kube/types.ts';
import { as, clone, type Json, type StoredObject } from '../object.ts';
import type { ApiResource } from '../resources.ts';
import { Entry } from '../store/entry.ts';

interface Conversion {
  /** Both get copies of their own. @param old what is stored now: what this version cannot say stays as it is */
  toStored(object: StoredObject, old: StoredObject | undefined): StoredObject;
  fromStored(object: StoredObject): StoredObject;
}

/** events.k8s.io/v1 and core v1 are two names for the same Events. */
const event: Conversion = {
  toStored(object) {
    const {
      note,
      regarding,
      reportingController,
      deprecatedCount,
      deprecatedFirstTimestamp,
      deprecatedLastTimestamp,
      deprecatedSource,
      ...rest
    } = object;
    return {
      ...rest,
      apiVersion: 'v1',
      involvedObject: regarding ?? {},
      ...pick({
        message: note,
        reportingComponent: reportingController,
        count: deprecatedCount,
        firstTimestamp: deprecatedFirstTimestamp,
        lastTimestamp: deprecatedLastTimestamp,
        source: deprecatedSource,
      }),
    };
  },
  fromStored(object) {
    const { message, involvedObject, reportingComponent, count, firstTimestamp, lastTimestamp, source, ...rest } = as<
      Event & Json
    >(object);
    return as<StoredObject>({
      ...rest,
      apiVersion: 'events.k8s.io/v1',
      ...pick({
        note: message,
        regarding: involvedObject as ObjectReference,
        reportingController: reportingComponent,
        deprecatedCount: count,
        deprecatedFirstTimestamp: firstTimestamp,
        deprecatedLastTimestamp: lastTimestamp,
        deprecatedSource: source,
      }),
    });
  },
};

interface CpuMetric {
  resource?: { name: string; target: { averageUtilization?: number } };
}
const cpuTarget = (metrics: unknown): number | undefined =>
  (metrics as CpuMetric[] | undefined)?.find(({ resource }) => resource?.name === 'cpu')?.resource?.target.averageUtilization;

/** autoscaling/v1 knows CPU utilization only. */
const autoscaler: Conversion = {
  toStored(object, old) {
    const { targetCPUUtilizationPercentage: target, ...spec } = (object.spec ?? {}) as Json;
    if (old?.spec?.behavior !== undefined) spec.behavior = clone(old.spec.behavior);
    if (old && target === cpuTarget(old.spec?.metrics)) spec.metrics = clone(old.spec?.metrics);
    else if (target !== undefined)
      spec.metrics = [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: target } } },
      ];
    const { currentCPUUtilizationPercentage: _cpu, currentReplicas, ...status } = (object.status ?? {}) as Json;
    const replicas = currentReplicas === 0 && old?.status?.currentReplicas === undefined ? {} : pick({ currentReplicas });
    return { ...object, apiVersion: 'autoscaling/v2', spec, status: { ...clone(old?.status), ...status, ...replicas } };
  },
  fromStored(object) {
    const { metrics, behavior: _behavior, ...spec } = (object.spec ?? {}) as Json;
    const { currentMetrics: _metrics, conditions: _conditions, ...counts } = (object.status ?? {}) as Json;
    return {
      ...object,
      apiVersion: 'autoscaling/v1',
      spec: { ...spec, ...pick({ targetCPUUtilizationPercentage: cpuTarget(metrics) }) },
      status: { currentReplicas: 0, ...counts },
    };
  },
};

const conversions: Readonly<Record<string, Conversion>> = {
  'events.events.k8s.io': event,
  'horizontalpodautoscalers.autoscaling': autoscaler,
};

const pick = (values: Json): Json => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** An object as a client of this version sends it, as it is stored. */
export const toStored = (resource: ApiResource, object: StoredObject, old?: StoredObject): StoredObject =>
  resource.storedAs ? conversions[qualifiedName(resource)]!.toStored(object, old) : object;

const views = new Map<ApiResource, WeakMap<Entry, Entry>>();

/** A stored object as clients of this version see it. */
export function viewOf(resource: ApiResource, entry: Entry): Entry {
  if (!resource.storedAs) return entry;
  let cache = views.get(resource);
  if (!cache) views.set(resource, (cache = new WeakMap()));
  let view = cache.get(entry);
  if (!view) {
    view = new Entry(conversions[qualifiedName(resource)]!.fromStored(clone(entry.object)), entry.version);
    cache.set(entry, view);
  }
  return view;
}

export const fromStored = (resource: ApiResource, object: StoredObject): StoredObject =>
  resource.storedAs ? conversions[qualifiedName(resource)]!.fromStored(clone(object)) : object;
