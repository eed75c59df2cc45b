import type { PatchType } from '../../kube/api.ts';
import { jsonEqual } from '../../kube/objects.ts';
import type { ObjectMeta } from '../../kube/types.ts';
import { badRequest } from '../errors.ts';
import { clone, isJson, type StoredObject } from '../object.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge-patch.ts';
import { strategicMerge } from '../patch/strategic.ts';
import type { Model } from '../schema/index.ts';

/** Subresources that are views of the object itself. */
export type OwnSubresource = 'status' | 'finalize' | 'ephemeralcontainers';

/** An object with a patch that is JSON. */
export function patchJson(model: Model, old: StoredObject, patch: unknown, type: PatchType): unknown {
  if (type === 'json') return jsonPatch(old, patch);
  if (!isJson(patch))
    throw badRequest('error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}');
  return type === 'merge' ? mergePatch(old, patch) : strategicMerge(model, old, patch);
}

const identity = ['uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'generation'] as const;

/** What clients cannot change. */
export function carryIdentity(metadata: ObjectMeta, old: ObjectMeta): void {
  for (const name of identity) {
    if (old[name] === undefined) delete metadata[name];
    else Object.assign(metadata, { [name]: old[name] });
  }
  if (old.generateName === undefined) delete metadata.generateName;
  delete metadata.selfLink;
}

/** The old object with only that part of the new one which the subresource is about. */
export function partOf(subresource: OwnSubresource, object: StoredObject, old: StoredObject): StoredObject {
  const { labels, annotations, managedFields } = object.metadata;
  const next = clone(old);
  if (managedFields) next.metadata.managedFields = managedFields;
  if (subresource === 'status') {
    next.metadata = { ...next.metadata, labels, annotations };
    if (!labels) delete next.metadata.labels;
    if (!annotations) delete next.metadata.annotations;
    if (object.status === undefined) delete next.status;
    else next.status = object.status;
  } else if (subresource === 'finalize') next.spec = { ...next.spec, finalizers: object.spec?.finalizers ?? [] };
  else next.spec = { ...next.spec, ephemeralContainers: object.spec?.ephemeralContainers ?? [] };
  return next;
}

/** Whether anything but metadata and status differs. */
export function asksOtherThan(object: StoredObject, old: StoredObject): boolean {
  const { metadata: _a, status: _b, ...asked } = object;
  const { metadata: _c, status: _d, ...before } = old;
  return !jsonEqual(asked, before);
}
