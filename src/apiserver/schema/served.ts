import type { Resource } from '../../kube/api.ts';

/** A resource as the server offers it; OpenAPI documents are built from a list of these. */
export interface ServedResource extends Resource {
  /** e.g. `status`, `scale`, `log`, `exec`. */
  subresources?: readonly string[];
  /** Absent: all eight. Reviews only have `create`. */
  verbs?: readonly string[];
}

/** `v1`, `apps/v1` */
export const groupVersion = ({ group, version }: { group: string; version: string }): string =>
  group === '' ? version : `${group}/${version}`;

/** `api/v1`, `apis/apps/v1`: the path of a group-version, as OpenAPI's index names it. */
export const groupVersionPath = ({ group, version }: { group: string; version: string }): string =>
  group === '' ? `api/${version}` : `apis/${group}/${version}`;

/** What a subresource speaks, where it is not the resource's own kind. */
export const subresourceKinds: Readonly<Record<string, { group: string; version: string; kind: string }>> = {
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  binding: { group: '', version: 'v1', kind: 'Binding' },
  token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
  exec: { group: '', version: 'v1', kind: 'PodExecOptions' },
  attach: { group: '', version: 'v1', kind: 'PodAttachOptions' },
  portforward: { group: '', version: 'v1', kind: 'PodPortForwardOptions' },
  proxy: { group: '', version: 'v1', kind: 'PodProxyOptions' },
};
