import type { ApiResource } from '../resources.ts';

/** One API group with its versions, preferred first. */
export interface Group {
  name: string;
  versions: { version: string; resources: ApiResource[] }[];
}

/** Groups in the order of the resource table. */
export function groupsOf(resources: readonly ApiResource[]): Group[] {
  const groups: Group[] = [];
  for (const resource of resources) {
    let group = groups.find(({ name }) => name === resource.group);
    if (!group) groups.push((group = { name: resource.group, versions: [] }));
    let version = group.versions.find((one) => one.version === resource.version);
    if (!version) group.versions.push((version = { version: resource.version, resources: [] }));
    version.resources.push(resource);
  }
  return groups;
}
