import type { DeleteOptions, Resource } from '../../kube/api.ts';
import { kubeTime } from '../../kube/objects.ts';
import type { Namespace, Pod } from '../../kube/types.ts';
import { conflict } from '../errors.ts';
import { as, clone, type StoredObject } from '../object.ts';
import type { Entry } from '../store/entry.ts';

/** DeleteOptions as clients send them. */
export interface DeletionRequest extends DeleteOptions {
  /** The older way to say Orphan or Background. */
  orphanDependents?: boolean;
  dryRun?: readonly string[];
}

export function checkPreconditions(resource: Resource, { object }: Entry, options: DeletionRequest): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  if (uid !== undefined && uid !== metadata.uid)
    throw conflict(
      resource,
      metadata.name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw conflict(
      resource,
      metadata.name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
}

/** Seconds that an object may take to go: only pods that run somewhere take any. */
function graceOf({ object }: Entry, options: DeletionRequest): number {
  if (object.kind !== 'Pod') return 0;
  const pod = as<Pod>(object);
  const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  if (!pod.spec?.nodeName || finished) return 0;
  const asked = options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
  return asked < 0 ? 1 : asked;
}

/** Finalizers that the garbage collector honours, by what the deleter wants done with dependents. */
function finalizersFor(object: StoredObject, options: DeletionRequest): string[] {
  const { metadata } = object;
  // A Job deleted by old clients leaves its pods.
  const byDefault = object.kind === 'Job' && object.apiVersion === 'batch/v1' ? 'Orphan' : undefined;
  const legacy = options.orphanDependents === undefined ? undefined : options.orphanDependents ? 'Orphan' : 'Background';
  const asked = options.propagationPolicy ?? legacy;
  const policy =
    asked ?? (metadata.finalizers?.some((one) => one === 'orphan' || one === 'foregroundDeletion') ? undefined : byDefault);
  const rest = (metadata.finalizers ?? []).filter(
    (one) => policy === undefined || (one !== 'orphan' && one !== 'foregroundDeletion'),
  );
  if (policy === 'Orphan') rest.push('orphan');
  if (policy === 'Foreground') rest.push('foregroundDeletion');
  return rest;
}

const namespaceFinalizers = (object: StoredObject): readonly string[] =>
  object.kind === 'Namespace' ? (as<Namespace>(object).spec?.finalizers ?? []) : [];

/** Nothing holds an object that is being deleted any longer. */
export const mayGo = (object: StoredObject): boolean =>
  object.metadata.deletionTimestamp !== undefined &&
  !object.metadata.finalizers?.length &&
  (object.metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
  namespaceFinalizers(object).length === 0;

/**
 * What a deletion makes of an object: `gone`, or a copy that says that it is going (pods that must stop first, objects with finalizers,
 * namespaces that must be emptied), or the same object when nothing changes.
 */
export function beginDeletion(entry: Entry, options: DeletionRequest, nowMs: number): 'gone' | StoredObject {
  const { object } = entry;
  const grace = graceOf(entry, options);
  const finalizers = finalizersFor(object, options);
  const held = finalizers.length > 0 || namespaceFinalizers(object).length > 0;
  const { deletionTimestamp, deletionGracePeriodSeconds: before = 0 } = object.metadata;
  if (grace === 0 && !held) return 'gone';
  const going = clone(object);
  const { metadata } = going;
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
  if (deletionTimestamp === undefined) {
    metadata.deletionTimestamp = kubeTime(nowMs + grace * 1000);
    metadata.deletionGracePeriodSeconds = grace;
    if (metadata.generation) metadata.generation++;
  } else if (grace < before) {
    metadata.deletionTimestamp = kubeTime(Date.parse(deletionTimestamp) + (grace - before) * 1000);
    metadata.deletionGracePeriodSeconds = grace;
  } else if (finalizers.length === (object.metadata.finalizers?.length ?? 0)) return object;
  if (going.kind === 'Namespace') going.status = { ...going.status, phase: 'Terminating' };
  return going;
}
