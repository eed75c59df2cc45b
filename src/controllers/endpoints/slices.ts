import { jsonEqual } from '../../kube/objects.ts';
import type { Endpoint, EndpointSlice, ObjectMeta } from '../../kube/types.ts';
import type { EndpointGroup } from './desired.ts';
import { portsKey } from './ports.ts';

export interface SliceChanges {
  create: EndpointSlice[];
  update: EndpointSlice[];
  delete: EndpointSlice[];
}

interface Draft {
  slice: EndpointSlice;
  endpoints: Endpoint[];
  changed: boolean;
}

/** Which endpoint is which over time: the pod when it is known, else the address. */
const identity = ({ targetRef, addresses }: Endpoint): string =>
  `${targetRef?.uid ?? ''} ${targetRef?.namespace ?? ''}/${targetRef?.name ?? ''} ${addresses.join(',')}`;

/**
 * How to get from the slices that stand to the endpoints that should be, with few writes (ES6): refresh and remove in place; fill slices
 * that are written anyway; only then touch one more, or make new ones. Nothing is rebalanced. A slice to be made takes the name of one to be
 * deleted of the same family, since an update is cheaper for every watcher than both.
 * @param metadata what labels, owner and name every slice should have; `generateName` names new ones
 */
export function reconcileSlices(
  existing: readonly EndpointSlice[],
  groups: readonly EndpointGroup[],
  metadata: ObjectMeta,
  maxEndpoints = 100,
): SliceChanges {
  const changes: SliceChanges = { create: [], update: [], delete: [] };
  const left = new Set(existing);
  for (const group of groups) {
    const mine = existing.filter(
      (slice) => left.has(slice) && slice.addressType === group.addressType && portsKey(slice.ports) === portsKey(group.ports),
    );
    for (const slice of mine) left.delete(slice);
    reconcileGroup(mine, group, metadata, maxEndpoints, changes);
  }
  changes.delete.push(...left);
  for (const [i, fresh] of [...changes.create.entries()].reverse()) {
    const at = changes.delete.findIndex(({ addressType }) => addressType === fresh.addressType);
    if (at < 0) continue;
    const [reused] = changes.delete.splice(at, 1);
    changes.create.splice(i, 1);
    changes.update.push({
      ...reused!,
      metadata: withMeta(reused!.metadata, metadata),
      ports: fresh.ports,
      endpoints: fresh.endpoints,
    });
  }
  return changes;
}

function reconcileGroup(
  mine: readonly EndpointSlice[],
  group: EndpointGroup,
  metadata: ObjectMeta,
  max: number,
  changes: SliceChanges,
): void {
  const wanted = new Map(group.endpoints.map((endpoint) => [identity(endpoint), endpoint]));
  const drafts: Draft[] = mine.map((slice) => {
    const endpoints: Endpoint[] = [];
    let changed = !hasMeta(slice.metadata, metadata);
    for (const endpoint of slice.endpoints ?? []) {
      const id = identity(endpoint);
      const now = wanted.get(id);
      wanted.delete(id); // twice in two slices: the second one goes
      if (now && endpoints.length < max) endpoints.push(now);
      if (!now || !jsonEqual(now, endpoint)) changed = true;
      if (now && endpoints.at(-1) !== now) wanted.set(id, now);
    }
    return { slice, endpoints, changed };
  });
  const rest = [...wanted.values()];
  const place = (draft: Draft): void => {
    const room = max - draft.endpoints.length;
    if (room <= 0 || rest.length === 0) return;
    draft.endpoints.push(...rest.splice(0, room));
    draft.changed = true;
  };
  const fullest = (a: Draft, b: Draft): number => b.endpoints.length - a.endpoints.length;
  drafts
    .filter(({ changed, endpoints }) => changed && endpoints.length > 0)
    .sort(fullest)
    .forEach(place);
  if (rest.length > 0) drafts.filter(({ changed, endpoints }) => changed && endpoints.length === 0).forEach(place);
  const fresh: EndpointSlice[] = [];
  while (rest.length > 0) {
    const fitting = drafts.filter(({ changed, endpoints }) => !changed && endpoints.length + rest.length <= max).sort(fullest)[0];
    if (rest.length < max && fitting) place(fitting);
    else fresh.push(newSlice(group, metadata, rest.splice(0, max)));
  }
  // The empty placeholder stays where it stands, once.
  const keepEmpty = group.endpoints.length === 0;
  let kept = false;
  for (const { slice, endpoints, changed } of drafts) {
    if (endpoints.length === 0 && (!keepEmpty || kept)) changes.delete.push(slice);
    else if (changed) changes.update.push({ ...slice, metadata: withMeta(slice.metadata, metadata), endpoints });
    if (endpoints.length === 0) kept = true;
  }
  if (keepEmpty && drafts.length === 0) fresh.push(newSlice(group, metadata, []));
  changes.create.push(...fresh);
}

const newSlice = (group: EndpointGroup, metadata: ObjectMeta, endpoints: Endpoint[]): EndpointSlice => ({
  addressType: group.addressType,
  metadata: structuredClone(metadata),
  ports: group.ports,
  endpoints,
});

/** Labels and owners are the controller's alone; annotations only have to be there. */
const hasMeta = (present: ObjectMeta, wanted: ObjectMeta): boolean =>
  jsonEqual(present.labels ?? {}, wanted.labels ?? {}) && jsonEqual(present.ownerReferences ?? [], wanted.ownerReferences ?? []);

const withMeta = (present: ObjectMeta, wanted: ObjectMeta): ObjectMeta => ({
  ...present,
  labels: wanted.labels,
  ownerReferences: wanted.ownerReferences,
  annotations: { ...present.annotations, ...wanted.annotations },
});
