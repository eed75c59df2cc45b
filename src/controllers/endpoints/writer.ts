import { type Api, isNotFound } from '../../kube/api.ts';
import type { Informer } from '../../kube/informer.ts';
import { key } from '../../kube/objects.ts';
import { EndpointSlices } from '../../kube/resources.ts';
import type { EndpointSlice } from '../../kube/types.ts';
import type { SliceChanges } from './slices.ts';

/** Writes, new endpoints before lost ones, and returns when the cache has seen all of it (ES14). */
export async function writeSlices(api: Api, cache: Informer<EndpointSlice>, changes: SliceChanges): Promise<void> {
  const written = await Promise.all([
    ...changes.create.map((slice) => api.create(EndpointSlices, slice)),
    ...changes.update.map((slice) => api.update(EndpointSlices, slice)),
  ]);
  await Promise.all(changes.delete.map((slice) => deleteSlice(api, cache, slice)));
  await Promise.all(written.map(({ metadata }) => cache.hasSeen(metadata.resourceVersion)));
}

export async function deleteSlice(api: Api, cache: Informer<EndpointSlice>, slice: EndpointSlice): Promise<void> {
  const { name, namespace, uid } = slice.metadata;
  try {
    await api.delete(EndpointSlices, name, namespace, { preconditions: { uid: uid! } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  await cache.hasSeenDeletion(key(slice), uid);
}
