import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pods } from '../../kube/resources.ts';
import type { Container, Pod } from '../../kube/types.ts';
import type { ContainerSpec } from '../container.ts';
import { expand } from '../env/expand.ts';
import type { PodFacts } from '../env/fields.ts';
import { apiSources, environment } from '../env/variables.ts';
import { capacityOf } from '../node/node-object.ts';
import { fqdnOf, hostNetworkHosts, hostnameOf, kernelHostnameOf, podHosts } from '../sandbox/hosts.ts';
import { formatResolvConf, resolvConf } from '../../kube/resolv-conf.ts';
import type { PodRecord } from '../state.ts';
import { makeVolumes, requestToken, volumeMounts } from '../volumes/volumes.ts';
import type { RunnerContext } from './context.ts';
import type { Slot } from './slot.ts';

const factsOf = (context: RunnerContext, record: PodRecord): PodFacts => ({
  podIPs: record.podIPs,
  hostIPs: context.config.addresses,
  allocatable: capacityOf(context.config.maxPods),
});

/** The volumes, hosts and resolv.conf of a pod, once before its first container. @throws Error FailedMount */
export async function preparePod(context: RunnerContext, pod: Pod, record: PodRecord): Promise<void> {
  const dir = context.state.podDir(record.uid);
  mkdirSync(dir, { recursive: true });
  await makeVolumes(join(dir, 'volumes'), {
    pod,
    facts: factsOf(context, record),
    sources: apiSources(context.api, record.namespace),
    token: (projection) => requestToken(context.api, pod, projection),
  });
  const host = readIfThere(context.config.hostResolvConf);
  const { clusterDns, clusterDomain, addresses } = context.config;
  const loopback = addresses[0]?.includes(':') ? '::1' : '127.0.0.1';
  const settings = { clusterDns, clusterDomain, host, loopback };
  const { events, ...conf } = resolvConf({ namespace: record.namespace, spec: pod.spec! }, settings);
  for (const { reason, message } of events) context.events.event(Pods, pod, 'Warning', reason, message);
  const aliases = pod.spec?.hostAliases;
  const hosts = record.hostNetwork
    ? hostNetworkHosts(readIfThere('/etc/hosts') ?? '', aliases)
    : podHosts(record.podIPs, hostnameOf(pod), fqdnOf(pod, clusterDomain), aliases);
  const own = { 'resolv.conf': formatResolvConf(conf), hosts, hostname: `${kernelHostnameOf(pod, clusterDomain)}\n` };
  for (const [name, content] of Object.entries(own)) writeFileSync(join(dir, name), content, { mode: 0o644 });
}

/** Where a run of a container writes its output. */
export const logPath = (context: RunnerContext, uid: string, container: string, restart: number): string =>
  join(context.state.podDir(uid), 'logs', container, `${restart}.log`);

/** A folder of one run of a container. */
export const containerDir = (context: RunnerContext, uid: string, container: string, restart: number): string =>
  join(context.state.podDir(uid), 'containers', container, String(restart));

/** Everything resolved for one start. @throws ContainerStartError CreateContainerConfigError */
export async function containerSpec(context: RunnerContext, pod: Pod, record: PodRecord, slot: Slot): Promise<ContainerSpec> {
  const { container } = slot;
  const dir = context.state.podDir(record.uid);
  const facts = factsOf(context, record);
  const env = await environment(pod, container, facts, context.services(), apiSources(context.api, record.namespace));
  const own = ['hosts', 'resolv.conf', 'hostname'].map((name) => ({
    source: join(dir, name),
    target: `/etc/${name}`,
    readOnly: false,
  }));
  const mounts = volumeMounts(join(dir, 'volumes'), pod, container, env);
  const log = logPath(context, record.uid, container.name, slot.restartCount);
  const work = containerDir(context, record.uid, container.name, slot.restartCount);
  const hostname = record.hostNetwork ? context.config.nodeName : kernelHostnameOf(pod, context.config.clusterDomain);
  return {
    id: randomBytes(32).toString('hex'),
    pod: { namespace: record.namespace, name: record.name, uid: record.uid },
    name: container.name,
    nodeName: context.config.nodeName,
    init: slot.init && !slot.sidecar,
    image: container.image ?? '',
    command: container.command?.map((part) => expand(part, env)),
    args: container.args?.map((part) => expand(part, env)),
    env: { HOSTNAME: hostname, ...env },
    workingDir: container.workingDir,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    user: userOf(pod, container),
    netns: record.netns,
    hostNetwork: record.hostNetwork,
    hostname,
    podIPs: record.podIPs,
    mounts: [...own.filter(({ target }) => !mounts.some((mount) => mount.target === target)), ...mounts],
    ports: container.ports ?? [],
    probes: [container.startupProbe, container.livenessProbe, container.readinessProbe].filter((probe) => probe !== undefined),
    dir: work,
    logPath: log,
  };
}

function userOf(pod: Pod, container: Container): ContainerSpec['user'] {
  const ofPod = pod.spec?.securityContext ?? {};
  const own = container.securityContext ?? {};
  const uid = own.runAsUser ?? ofPod.runAsUser;
  const gid = own.runAsGroup ?? ofPod.runAsGroup;
  if (uid === undefined && gid === undefined) return undefined;
  const groups = [...(ofPod.supplementalGroups ?? []), ...(ofPod.fsGroup === undefined ? [] : [ofPod.fsGroup])];
  return { uid: uid ?? 0, gid: gid ?? 0, groups };
}

function readIfThere(file: string): string | undefined {
  try {
    return file === '' ? undefined : readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
