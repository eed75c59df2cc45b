import type { Json } from '../object.ts';
import type { ApiResource } from '../resources.ts';
import type { Group } from './groups.ts';
import { kindOfSubresource, subresourceVerbs } from './subresources.ts';

const describe = (resource: ApiResource): Json => {
  const { group, version, kind } = resource;
  return {
    resource: resource.plural,
    responseKind: { group, version, kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames && { shortNames: resource.shortNames }),
    ...(resource.categories && { categories: resource.categories }),
    ...(resource.subresources.length > 0 && {
      subresources: resource.subresources.map((subresource) => ({
        subresource,
        responseKind: kindOfSubresource(resource, subresource),
        verbs: subresourceVerbs(subresource),
      })),
    }),
  };
};

/** APIGroupDiscoveryList: everything below `/api` or `/apis` in one answer (KEP-3352). */
export const aggregatedDiscovery = (groups: readonly Group[], version: 'v2' | 'v2beta1'): Json => ({
  kind: 'APIGroupDiscoveryList',
  apiVersion: `apidiscovery.k8s.io/${version}`,
  metadata: {},
  items: groups.map(({ name, versions }) => ({
    metadata: { ...(name && { name }), creationTimestamp: null },
    versions: versions.map((one) => ({ version: one.version, resources: one.resources.map(describe), freshness: 'Current' })),
  })),
});
