import type { Json } from '../object.ts';
import { groupVersion } from '../schema/served.ts';
import type { Group } from './groups.ts';
import { kindOfSubresource, subresourceVerbs } from './subresources.ts';

/** `GET /api` @param address where the client reached the server */
export const apiVersions = (address: string): Json => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

export function apiGroup({ name, versions }: Group): Json {
  const all = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: all, preferredVersion: all[0] };
}

/** `GET /apis` */
export const apiGroupList = (groups: readonly Group[]): Json => ({
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: groups.map(apiGroup),
});

/** `GET /api/v1`, `GET /apis/<group>/<version>`; undefined: not served */
export function apiResourceList(groups: readonly Group[], group: string, version: string): Json | undefined {
  const found = groups.find(({ name }) => name === group)?.versions.find((one) => one.version === version);
  if (!found) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion({ group, version }),
    resources: found.resources.flatMap((resource) => {
      const { plural, singular, namespaced, kind, verbs, shortNames, categories } = resource;
      return [
        {
          name: plural,
          singularName: singular,
          namespaced,
          kind,
          verbs,
          ...(shortNames && { shortNames }),
          ...(categories && { categories }),
        },
        ...resource.subresources.map((subresource) => {
          const speaks = kindOfSubresource(resource, subresource);
          const foreign = speaks.group !== group || speaks.version !== version;
          return {
            name: `${plural}/${subresource}`,
            singularName: '',
            namespaced,
            ...(foreign && { group: speaks.group, version: speaks.version }),
            kind: speaks.kind,
            verbs: subresourceVerbs(subresource),
          };
        }),
      ];
    }),
  };
}
