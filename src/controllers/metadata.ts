import type { KubeObject, Resource } from '../kube/api.ts';
import type { Informer } from '../kube/informer.ts';
import type { OwnerReference } from '../kube/types.ts';
import type { SharedInformers } from './context.ts';

/** What collectors need to know of an object of any kind. */
export interface Meta {
  name: string;
  namespace: string | undefined;
  uid: string;
  resourceVersion: string;
  owners: readonly OwnerReference[];
  finalizers: readonly string[];
  deleting: boolean;
}

export type MetaInformer = Informer<KubeObject, Meta>;

/** A cache of the metadata of all objects of a resource, with the indexes `owner` (uids of all owners), `uid` and `namespace`. */
export function metadataOf(informers: SharedInformers, resource: Resource): MetaInformer {
  const informer = informers.projected(
    'metadata',
    resource,
    ({ metadata }: KubeObject): Meta => ({
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid ?? '',
      resourceVersion: metadata.resourceVersion ?? '',
      owners: metadata.ownerReferences ?? [],
      finalizers: metadata.finalizers ?? [],
      deleting: metadata.deletionTimestamp !== undefined,
    }),
  );
  informer.addIndex('owner', ({ owners }) => owners.map(({ uid }) => uid));
  informer.addIndex('uid', ({ uid }) => [uid]);
  informer.addIndex('namespace', ({ namespace }) => [namespace ?? '']);
  return informer;
}

export const metaKey = ({ name, namespace }: Meta): string => (namespace ? `${namespace}/${name}` : name);
