import { type Api, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import type { Informer } from '../kube/informer.ts';
import { isDeleting, ownerRef } from '../kube/objects.ts';
import { matches, type Selector } from '../kube/selectors.ts';

interface Claim<C extends KubeObject> {
  api: Api;
  ownerResource: Resource;
  owner: KubeObject;
  selector: Selector;
  childResource: Resource<C>;
  /** With the index `owner` (see `ownerIndex`). */
  children: Informer<C>;
  /** Children that are not taken when they are orphans, e.g. finished pods. */
  adoptable?: (child: C) => boolean;
}

/**
 * The children of an owner: those that it controls, after letting go of the ones whose labels do not match any more and taking in
 * orphans that match. Adoption asks the API first whether the owner still lives, since a cache may not know yet.
 */
export async function claimChildren<C extends KubeObject>(claim: Claim<C>): Promise<C[]> {
  const { api, owner, selector, childResource, children, ownerResource } = claim;
  const { namespace, uid = '' } = owner.metadata;
  const mine: C[] = [];
  const written: (string | undefined)[] = [];
  for (const child of children.byIndex('owner', uid)) {
    if (matches(selector, child.metadata.labels)) mine.push(child);
    else if (!isDeleting(owner)) {
      const left = (child.metadata.ownerReferences ?? []).filter((ref) => ref.uid !== uid);
      written.push(await writeOwners(api, childResource, child, left));
    }
  }
  const orphans = children
    .byIndex('owner', `${namespace}/`)
    .filter((child) => !isDeleting(child) && matches(selector, child.metadata.labels) && (claim.adoptable?.(child) ?? true));
  if (orphans.length > 0 && !isDeleting(owner)) {
    const fresh = await api.get(ownerResource, owner.metadata.name, namespace);
    if (fresh.metadata.uid === uid && !isDeleting(fresh)) {
      for (const orphan of orphans) {
        const owners = [...(orphan.metadata.ownerReferences ?? []), ownerRef(ownerResource, owner)];
        written.push(await writeOwners(api, childResource, orphan, owners));
        mine.push(orphan);
      }
    }
  }
  for (const version of written) await children.hasSeen(version);
  return mine;
}

async function writeOwners<C extends KubeObject>(
  api: Api,
  resource: Resource<C>,
  child: C,
  ownerReferences: unknown,
): Promise<string | undefined> {
  const { name, namespace, uid, resourceVersion } = child.metadata;
  // uid and version: never the owner of another object under this name, nor over what somebody else wrote meanwhile.
  const patch = { metadata: { uid, resourceVersion, ownerReferences } };
  try {
    return (await api.patch(resource, name, namespace, patch, 'merge')).metadata.resourceVersion;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Runs tasks in batches of 1, 2, 4, …: a fault that hits all of them (a quota, a bad template) costs one failing call and not hundreds.
 * Stops after the batch in which one failed, and throws its error.
 */
export async function slowStart<R>(count: number, task: (index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let size = 1; results.length < count; size *= 2) {
    const begin = results.length;
    const batch = Array.from({ length: Math.min(size, count - begin) }, (_, i) => task(begin + i));
    const settled = await Promise.allSettled(batch);
    const failed = settled.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    for (const one of settled) if (one.status === 'fulfilled') results.push(one.value);
  }
  return results;
}
