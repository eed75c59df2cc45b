import type { ApiResource } from '../resources.ts';
import { subresourceKinds } from '../schema/served.ts';

/** What may be done with a subresource; `get, patch, update` unless said here. */
const verbs: Readonly<Record<string, readonly string[]>> = {
  attach: ['create', 'get'],
  binding: ['create'],
  eviction: ['create'],
  exec: ['create', 'get'],
  finalize: ['update'],
  log: ['get'],
  portforward: ['create', 'get'],
  token: ['create'],
};

export const subresourceVerbs = (subresource: string): readonly string[] => verbs[subresource] ?? ['get', 'patch', 'update'];

export interface KindOf {
  group: string;
  version: string;
  kind: string;
}

export const kindOfSubresource = (resource: ApiResource, subresource: string): KindOf =>
  subresourceKinds[subresource] ?? { group: resource.group, version: resource.version, kind: resource.kind };
