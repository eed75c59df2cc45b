import { type Api, isNotFound } from '../../kube/api.ts';
import { ConfigMaps, Secrets } from '../../kube/resources.ts';
import type { ConfigMap, Container, EnvVarSource, Pod, Secret, Service } from '../../kube/types.ts';
import { ContainerStartError } from '../container.ts';
import { expand } from './expand.ts';
import { fieldValue, type PodFacts, resourceValue } from './fields.ts';
import { serviceVariables } from './services.ts';

const fault = (message: string): ContainerStartError => new ContainerStartError('CreateContainerConfigError', message);

/** ConfigMaps and Secrets of one namespace, values as bytes in latin1 strings; undefined: not there. */
export interface Sources {
  configMap(name: string): Promise<Record<string, string> | undefined>;
  secret(name: string): Promise<Record<string, string> | undefined>;
}

export function apiSources(api: Api, namespace: string): Sources {
  const orUndefined = <T>(found: Promise<T>): Promise<T | undefined> =>
    found.catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  const decoded = (data: Record<string, string> = {}): Record<string, string> =>
    Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64').toString('latin1')]));
  return {
    configMap: async (name) => {
      const found = await orUndefined<ConfigMap>(api.get(ConfigMaps, name, namespace));
      return found && { ...decoded(found.binaryData), ...utf8AsLatin1(found.data) };
    },
    secret: async (name) => {
      const found = await orUndefined<Secret>(api.get(Secrets, name, namespace));
      return found && decoded(found.data);
    },
  };
}

/** Bytes travel as latin1 strings, so that files of volumes are exact. */
const utf8AsLatin1 = (data: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString('latin1')]));
const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString();

/**
 * The whole environment of a container as kubelet makes it: variables of Services, under those of `envFrom`, under those of `env`.
 * @throws ContainerStartError CreateContainerConfigError when something that is referred to is not there
 */
export async function environment(
  pod: Pod,
  container: Container,
  facts: PodFacts,
  services: readonly Service[],
  sources: Sources,
): Promise<Record<string, string>> {
  const fromServices = serviceVariables(services, pod.metadata.namespace ?? 'default', pod.spec?.enableServiceLinks ?? true);
  const result: Record<string, string> = {};
  for (const from of container.envFrom ?? []) {
    const ref = from.configMapRef ?? from.secretRef;
    const kind = from.configMapRef ? 'configmap' : 'secret';
    const data = await (from.configMapRef ? sources.configMap(ref?.name ?? '') : sources.secret(ref?.name ?? ''));
    if (!data && !ref?.optional) throw fault(`${kind} "${ref?.name}" not found`);
    for (const [name, value] of Object.entries(data ?? {})) result[(from.prefix ?? '') + name] = text(value);
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const resolved = valueFrom
      ? await resolve(valueFrom, pod, container, facts, sources)
      : expand(value ?? '', { ...fromServices, ...result });
    if (resolved !== undefined) result[name] = resolved;
  }
  return { ...fromServices, ...result };
}

async function resolve(
  from: EnvVarSource,
  pod: Pod,
  container: Container,
  facts: PodFacts,
  sources: Sources,
): Promise<string | undefined> {
  if (from.fieldRef) return fieldValue(from.fieldRef.fieldPath, pod, facts);
  if (from.resourceFieldRef) {
    const of = pod.spec?.containers.find(({ name }) => name === from.resourceFieldRef!.containerName) ?? container;
    return resourceValue(from.resourceFieldRef, of, facts);
  }
  const ref = from.configMapKeyRef ?? from.secretKeyRef;
  if (!ref) throw fault('valueFrom names a source that this runner does not know');
  const kind = from.configMapKeyRef ? 'configmap' : 'secret';
  const data = await (from.configMapKeyRef ? sources.configMap(ref.name ?? '') : sources.secret(ref.name ?? ''));
  const value = data?.[ref.key];
  if (value !== undefined) return text(value);
  if (ref.optional) return undefined;
  const namespace = pod.metadata.namespace ?? 'default';
  throw fault(data ? `couldn't find key ${ref.key} in ${kind} ${namespace}/${ref.name}` : `${kind} "${ref.name}" not found`);
}
