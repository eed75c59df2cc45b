import { qualifiedName } from '../../kube/resources.ts';
import type { Event, HorizontalPodAutoscaler, ObjectReference } from '../../kube/types.ts';
import { as, clone, type Json, type StoredObject } from '../object.ts';
import type { ApiResource } from '../resources.ts';
import { Entry } from '../store/entry.ts';

interface Conversion {
  /** Both get copies of their own. */
  toStored(object: StoredObject): StoredObject;
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

/** autoscaling/v1 knows CPU utilization only; what else v2 has would be lost in a write by v1, and is refused nowhere. */
const autoscaler: Conversion = {
  toStored(object) {
    const { targetCPUUtilizationPercentage, ...spec } = (object.spec ?? {}) as Json;
    if (targetCPUUtilizationPercentage !== undefined)
      spec.metrics = [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: targetCPUUtilizationPercentage } },
        },
      ];
    const { currentCPUUtilizationPercentage: _cpu, ...status } = (object.status ?? {}) as Json;
    return { ...object, apiVersion: 'autoscaling/v2', spec, status };
  },
  fromStored(object) {
    const { spec, status } = as<HorizontalPodAutoscaler>(object);
    const {
      metrics,
      behavior: _behavior,
      ...rest
    } = as<Json>(spec ?? {}) as Json & { metrics?: { resource?: { name: string; target: { averageUtilization?: number } } }[] };
    const cpu = metrics?.find(({ resource }) => resource?.name === 'cpu')?.resource?.target.averageUtilization;
    const { currentMetrics: _metrics, conditions: _conditions, ...counts } = (status ?? {}) as Json;
    return {
      ...object,
      apiVersion: 'autoscaling/v1',
      spec: { ...rest, ...pick({ targetCPUUtilizationPercentage: cpu }) },
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
export const toStored = (resource: ApiResource, object: StoredObject): StoredObject =>
  resource.storedAs ? conversions[qualifiedName(resource)]!.toStored(object) : object;

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
