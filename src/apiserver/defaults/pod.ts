import type { Container, PodSpec, Probe } from '../../kube/types.ts';
import { isJson, type Json } from '../object.ts';

/** Fills in a pod's spec as pkg/apis/core/v1/defaults.go does. */
export function defaultPodSpec(spec: PodSpec): void {
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.restartPolicy ??= 'Always';
  spec.schedulerName ??= 'default-scheduler';
  spec.terminationGracePeriodSeconds ??= 30;
  // kubectl debug dereferences it without a look.
  spec.securityContext ??= {};
  for (const container of allContainers(spec)) defaultContainer(container);
  if (spec.hostNetwork)
    for (const { ports } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])])
      for (const port of ports ?? []) port.hostPort ??= port.containerPort;
  // Both names of the same field are kept equal.
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  if (account) spec.serviceAccountName = spec.serviceAccount = account;
  for (const volume of spec.volumes ?? []) defaultVolume(volume as unknown as Json);
  for (const constraint of spec.topologySpreadConstraints ?? []) {
    constraint.nodeAffinityPolicy ??= 'Honor';
    constraint.nodeTaintsPolicy ??= 'Ignore';
  }
}

const allContainers = (spec: PodSpec): Container[] => [
  ...(spec.containers ?? []),
  ...(spec.initContainers ?? []),
  ...((spec.ephemeralContainers ?? []) as unknown as Container[]),
];

/** The tag of an image decides whether it is pulled each time. */
function isLatest(image: string): boolean {
  if (image.includes('@')) return false;
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest';
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ??= isLatest(container.image ?? '') ? 'Always' : 'IfNotPresent';
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.resources ??= {};
  const { limits } = container.resources;
  for (const [name, value] of Object.entries(limits ?? {})) (container.resources.requests ??= {})[name] ??= value;
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const { valueFrom } of container.env ?? []) if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ??= 'v1';
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) if (probe) defaultProbe(probe);
  for (const hook of [container.lifecycle?.postStart, container.lifecycle?.preStop])
    if (hook?.httpGet) defaultHttpGet(hook.httpGet);
}

function defaultHttpGet(action: { path?: string; scheme?: string }): void {
  action.path ??= '/';
  action.scheme ??= 'HTTP';
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  if (probe.httpGet) defaultHttpGet(probe.httpGet);
  if (probe.grpc) probe.grpc.service ??= '';
}

const sourceDefaults: Record<string, Json> = {
  configMap: { defaultMode: 0o644 },
  secret: { defaultMode: 0o644 },
  downwardAPI: { defaultMode: 0o644 },
  projected: { defaultMode: 0o644 },
  hostPath: { type: '' },
};

function defaultVolume(volume: Json): void {
  for (const [source, values] of Object.entries(sourceDefaults)) {
    const given = volume[source];
    if (isJson(given)) for (const [name, value] of Object.entries(values)) given[name] ??= value;
  }
  // A volume of nothing is an empty directory.
  if (Object.keys(volume).length === 1) volume.emptyDir = {};
  const claim = (volume.ephemeral as Json | undefined)?.volumeClaimTemplate as Json | undefined;
  if (isJson(claim?.spec)) claim.spec.volumeMode ??= 'Filesystem';
  const projected = volume.projected;
  if (isJson(projected) && Array.isArray(projected.sources))
    for (const source of projected.sources as Json[]) {
      if (isJson(source.serviceAccountToken)) source.serviceAccountToken.expirationSeconds ??= 3600;
      if (isJson(source.downwardAPI)) fieldRefs(source.downwardAPI.items);
    }
  if (isJson(volume.downwardAPI)) fieldRefs(volume.downwardAPI.items);
}

function fieldRefs(items: unknown): void {
  for (const item of (Array.isArray(items) ? items : []) as Json[]) if (isJson(item.fieldRef)) item.fieldRef.apiVersion ??= 'v1';
}
