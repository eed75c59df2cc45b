import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Api, KubeObject } from '../../kube/api.ts';
import { ServiceAccounts } from '../../kube/resources.ts';
import type {
  Container,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  ServiceAccountTokenProjection,
  Volume,
} from '../../kube/types.ts';
import { ContainerStartError } from '../container.ts';
import { expand } from '../env/expand.ts';
import { fieldValue, type PodFacts, resourceValue } from '../env/fields.ts';
import type { Sources } from '../env/variables.ts';
import { filesOf, type VolumeFile, writeFiles } from './files.ts';
import { subPathIn } from './sub-path.ts';

export const tokenMount = '/var/run/secrets/kubernetes.io/serviceaccount';
const tokenVolume = 'kube-api-access';

/** What volumes are made of. */
export interface VolumeContext {
  pod: Pod;
  facts: PodFacts;
  sources: Sources;
  /** A token of the pod's service account. */
  token(projection: ServiceAccountTokenProjection): Promise<string>;
}

/** Asks the API for a token bound to the pod. */
export async function requestToken(
  api: Api,
  pod: Pod,
  { audience, expirationSeconds }: Omit<ServiceAccountTokenProjection, 'path'>,
): Promise<string> {
  const name = pod.spec?.serviceAccountName ?? 'default';
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { name, namespace: pod.metadata.namespace },
    spec: {
      audiences: audience ? [audience] : [],
      expirationSeconds: expirationSeconds ?? 3607,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
    },
  };
  const answer = (await api.create<KubeObject>(ServiceAccounts, request, { subresource: 'token' })) as KubeObject & {
    status?: { token?: string };
  };
  return answer.status?.token ?? '';
}

/** The volume that admission adds on a cluster when the pod does not refuse it: token, CA and namespace. */
function accessVolume(pod: Pod): Volume | undefined {
  if (pod.spec?.automountServiceAccountToken === false) return undefined;
  const sources = [
    { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
    { configMap: { name: 'kube-root-ca.crt', optional: true, items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
  ];
  return { name: tokenVolume, projected: { sources } };
}

/** Makes the pod's volumes below `dir`, one folder for each. @throws Error FailedMount: what is missing or cannot be had in the lab */
export async function makeVolumes(dir: string, context: VolumeContext): Promise<void> {
  const access = accessVolume(context.pod);
  for (const volume of [...(context.pod.spec?.volumes ?? []), ...(access ? [access] : [])]) {
    const at = join(dir, volume.name);
    try {
      if (volume.emptyDir) {
        mkdirSync(at, { recursive: true });
        chmodSync(at, 0o777);
      } else writeFiles(at, await contentOf(volume, context));
    } catch (error) {
      throw new Error(`MountVolume.SetUp failed for volume "${volume.name}": ${(error as Error).message}`, { cause: error });
    }
  }
}

async function contentOf(volume: Volume, context: VolumeContext): Promise<VolumeFile[]> {
  if (volume.configMap) return configMapFiles(volume.configMap, volume.configMap.defaultMode ?? 0o644, context);
  if (volume.secret) {
    const { secretName, ...rest } = volume.secret;
    return secretFiles({ ...rest, name: secretName }, rest.defaultMode ?? 0o644, context);
  }
  if (volume.downwardAPI) return downwardFiles(volume.downwardAPI.items ?? [], volume.downwardAPI.defaultMode ?? 0o644, context);
  if (volume.projected) return projectedFiles(volume.projected, context);
  const kind = Object.keys(volume).find((name) => name !== 'name') ?? 'nothing';
  throw new Error(
    `the lab has no ${kind} volumes (it has emptyDir, configMap, secret, downwardAPI, projected)${kind === 'hostPath' ? ': a pod of the lab must not write to this machine' : ''}`,
  );
}

async function projectedFiles(
  { sources = [], defaultMode = 0o644 }: NonNullable<Volume['projected']>,
  context: VolumeContext,
): Promise<VolumeFile[]> {
  const files: VolumeFile[] = [];
  for (const source of sources) {
    if (source.configMap) files.push(...(await configMapFiles(source.configMap, defaultMode, context)));
    if (source.secret) files.push(...(await secretFiles(source.secret, defaultMode, context)));
    if (source.downwardAPI) files.push(...downwardFiles(source.downwardAPI.items ?? [], defaultMode, context));
    if (source.serviceAccountToken) {
      const content = await context.token(source.serviceAccountToken);
      files.push({ path: source.serviceAccountToken.path, content, mode: 0o644 });
    }
  }
  return files;
}

interface Reference {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

async function configMapFiles(
  { name = '', items, optional = false }: Reference,
  mode: number,
  { sources }: VolumeContext,
): Promise<VolumeFile[]> {
  const data = await sources.configMap(name);
  if (!data && !optional) throw new Error(`configmap "${name}" not found`);
  return filesOf(data ?? {}, items, mode, optional);
}

async function secretFiles(
  { name = '', items, optional = false }: Reference,
  mode: number,
  { sources }: VolumeContext,
): Promise<VolumeFile[]> {
  const data = await sources.secret(name);
  if (!data && !optional) throw new Error(`secret "${name}" not found`);
  return filesOf(data ?? {}, items, mode, optional);
}

const downwardFiles = (
  items: readonly DownwardAPIVolumeFile[],
  defaultMode: number,
  { pod, facts }: VolumeContext,
): VolumeFile[] =>
  items.map(({ path, mode = defaultMode, fieldRef, resourceFieldRef }) => {
    const of = pod.spec?.containers.find(({ name }) => name === resourceFieldRef?.containerName) ?? pod.spec!.containers[0]!;
    const value = fieldRef ? fieldValue(fieldRef.fieldPath, pod, facts) : resourceValue(resourceFieldRef!, of, facts);
    return { path, content: Buffer.from(value).toString('latin1'), mode };
  });

function preparedSubPath(
  volume: string,
  below: string,
  make: boolean,
  { name, container }: { name: string; container: Container },
): string {
  try {
    return subPathIn(volume, below, make);
  } catch (error) {
    const what = `failed to prepare subPath for volumeMount "${name}" of container "${container.name}"`;
    throw new ContainerStartError('CreateContainerConfigError', `${what}: ${(error as Error).message}`, 128, { cause: error });
  }
}

/** Where a container sees the pod's volumes. */
export function volumeMounts(
  dir: string,
  pod: Pod,
  container: Container,
  env: Readonly<Record<string, string>>,
): { source: string; target: string; readOnly: boolean }[] {
  const written = (name: string): boolean => pod.spec?.volumes?.find((volume) => volume.name === name)?.emptyDir !== undefined;
  const mounts = (container.volumeMounts ?? []).map(({ name, mountPath, subPath, subPathExpr, readOnly }) => {
    const below = subPathExpr ? expand(subPathExpr, env) : (subPath ?? '');
    const source = below === '' ? join(dir, name) : preparedSubPath(join(dir, name), below, written(name), { name, container });
    return { source, target: mountPath, readOnly: readOnly === true || !written(name) };
  });
  if (accessVolume(pod) && !mounts.some(({ target }) => target === tokenMount))
    mounts.push({ source: join(dir, tokenVolume), target: tokenMount, readOnly: true });
  return mounts;
}
