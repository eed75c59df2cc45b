import { ApiError } from '../../kube/api.ts';
import type { ManagedFieldsEntry } from '../../kube/types.ts';
import { goQuote } from '../codec/go-format.ts';
import type { Cause } from '../errors.ts';
import type { Json, StoredObject } from '../object.ts';
import type { Model } from '../schema/index.ts';
import {
  difference,
  type FieldSet,
  fromFieldsV1,
  intersection,
  isEmpty,
  members,
  pathText,
  sameSet,
  toFieldsV1,
  union,
  withParents,
} from './field-set.ts';
import { compare, fieldsOf, merge, without } from './typed.ts';

/** Who writes, as managedFields names it. */
export interface Manager {
  name: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource?: string;
}

interface Owner {
  entry: ManagedFieldsEntry;
  set: FieldSet;
}

const isSame = (entry: ManagedFieldsEntry, manager: Manager): boolean =>
  entry.manager === manager.name &&
  entry.operation === manager.operation &&
  (entry.subresource ?? '') === (manager.subresource ?? '') &&
  (manager.operation === 'Apply' || entry.apiVersion === manager.apiVersion);

const ownersOf = (object: { metadata: { managedFields?: ManagedFieldsEntry[] } }): Owner[] =>
  (object.metadata.managedFields ?? []).map((entry) => ({ entry, set: fromFieldsV1(entry.fieldsV1) }));

/** Metadata that no manager owns. */
const unowned = new Set([
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'generation',
  'managedFields',
  'resourceVersion',
]);

/** The parts of an object that managers own. @param status whether the write is about it; otherwise it cannot change it */
function ownable(object: Json, status = true): Json {
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  if (!status) delete rest.status;
  const metadata = Object.fromEntries(Object.entries((rest.metadata ?? {}) as Json).filter(([name]) => !unowned.has(name)));
  const { metadata: _metadata, ...body } = rest;
  return Object.keys(metadata).length > 0 ? { ...body, metadata } : body;
}

const write = (owner: Owner, set: FieldSet, now: string): ManagedFieldsEntry =>
  sameSet(owner.set, set) ? owner.entry : { ...owner.entry, time: now, fieldsV1: toFieldsV1(set) };

const fresh = (manager: Manager, set: FieldSet, now: string): ManagedFieldsEntry => ({
  manager: manager.name,
  operation: manager.operation,
  apiVersion: manager.apiVersion,
  time: now,
  fieldsType: 'FieldsV1',
  fieldsV1: toFieldsV1(set),
  ...(manager.subresource ? { subresource: manager.subresource } : {}),
});

/**
 * managedFields after a create, update or patch: who wrote owns what changed, and the others no longer do.
 * @param before undefined on create
 * @param now metav1.Time
 */
export function afterUpdate(
  model: Model,
  before: StoredObject | undefined,
  after: StoredObject,
  manager: Manager,
  now: string,
): ManagedFieldsEntry[] {
  const given = after.metadata.managedFields;
  // An entry without content is how clients ask to forget all managers.
  if (given?.length === 1 && !given[0]!.manager && !given[0]!.fieldsV1) return [];
  const owners = ownersOf(given && given.length > 0 ? after : (before ?? after));
  const status = manager.subresource !== undefined;
  const { changed, removed } = compare(model, before ? ownable(before, status) : {}, ownable(after, status));
  const result: ManagedFieldsEntry[] = [];
  let found = false;
  for (const owner of owners) {
    let set = difference(owner.set, removed);
    if (isSame(owner.entry, manager)) {
      found = true;
      set = union(set, changed);
    } else set = difference(set, changed);
    if (!isEmpty(set)) result.push(write(owner, set, now));
  }
  if (!found && !isEmpty(changed)) result.push(fresh(manager, changed, now));
  return result;
}

const describe = (entry: ManagedFieldsEntry): string => {
  const name = `${goQuote(entry.manager ?? '')}${entry.subresource ? ` with subresource ${goQuote(entry.subresource)}` : ''}`;
  return entry.operation === 'Update' ? `${name} using ${entry.apiVersion}` : name;
};

function conflictError(conflicts: { entry: ManagedFieldsEntry; paths: string[] }[]): ApiError {
  const causes: Cause[] = conflicts.flatMap(({ entry, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${describe(entry)}`, field })),
  );
  let text: string;
  if (causes.length === 1) text = `Apply failed with 1 conflict: ${causes[0]!.message}: ${causes[0]!.field}`;
  else {
    const lines = conflicts
      .map(({ entry, paths }) => [`conflicts with ${describe(entry)}:`, ...paths.map((path) => `- ${path}`)])
      .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
    text = `Apply failed with ${causes.length} conflicts: ${lines.flat().join('\n')}`;
  }
  return new ApiError(409, 'Conflict', text, { causes });
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * The fields that kubectl applied on the client's side. When the same kubectl goes over to server-side apply, it may take them from its
 * former self without a conflict.
 */
function fromClientSideApply(model: Model, live: StoredObject): FieldSet | undefined {
  try {
    const config = JSON.parse(live.metadata.annotations?.[lastApplied] ?? 'null') as Json | null;
    return config ? withParents(fieldsOf(model, ownable(config))) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Server-side apply (KEP-555): the configuration is laid over the live object; what this manager applied before and no longer names, and
 * nobody else owns, goes. The result still needs defaults and checks; `afterApply` then writes the managers.
 * @throws ApiError 409 when others own what would change, unless forced
 */
export function apply(
  model: Model,
  live: StoredObject | undefined,
  config: Json,
  manager: Manager,
  force: boolean,
): { object: Json; owners: (now: string) => ManagedFieldsEntry[] } {
  const owned = ownable(config);
  const set = fieldsOf(model, owned);
  const owners = live ? ownersOf(live) : [];
  const mine = owners.find(({ entry }) => isSame(entry, manager));
  const others = owners.filter((owner) => owner !== mine);
  const liveOwned = live ? ownable(live) : {};
  const merged = merge({ kind: 'struct', model }, liveOwned, owned) as Json;
  const { changed } = compare(model, liveOwned, merged);
  const conflicts = others
    .map((owner) => ({ owner, entry: owner.entry, set: intersection(owner.set, changed) }))
    .filter((conflict) => !isEmpty(conflict.set));
  const excused = live && manager.name === 'kubectl' ? fromClientSideApply(model, live) : undefined;
  const refused = conflicts.some((conflict) => !isEmpty(difference(conflict.set, excused)));
  if (refused && !force)
    throw conflictError(conflicts.map(({ entry, set: paths }) => ({ entry, paths: [...members(paths)].map(pathText) })));
  const kept = others.reduce((all, owner) => union(all, owner.set), { member: false, children: new Map() } as FieldSet);
  const gone = mine ? difference(withParents(mine.set), withParents(set)) : undefined;
  const pruned = (gone ? without({ kind: 'struct', model }, merged, gone, kept) : merged) as Json;
  const object = restore(pruned, live ?? config);
  const ownersAfter = (now: string): ManagedFieldsEntry[] => {
    const result: ManagedFieldsEntry[] = [];
    for (const owner of owners) {
      if (owner === mine) {
        if (!isEmpty(set)) result.push(write(owner, set, now));
        continue;
      }
      const lost = conflicts.find((conflict) => conflict.owner === owner);
      const left = lost ? difference(owner.set, lost.set) : owner.set;
      if (!isEmpty(left)) result.push(write(owner, left, now));
    }
    if (!mine && !isEmpty(set)) result.push(fresh(manager, set, now));
    return result;
  };
  return { object, owners: ownersAfter };
}

/** Puts back what no manager owns. */
function restore(owned: Json, from: Json): Json {
  const kept = Object.fromEntries(Object.entries((from.metadata ?? {}) as Json).filter(([name]) => unowned.has(name)));
  return { apiVersion: from.apiVersion, kind: from.kind, ...owned, metadata: { ...kept, ...((owned.metadata ?? {}) as Json) } };
}
