import { type Api, isAlreadyExists, isForbidden, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { isDeleting, jsonEqual } from '../kube/objects.ts';
import { ConfigMaps, Namespaces, ServiceAccounts } from '../kube/resources.ts';
import type { ConfigMap } from '../kube/types.ts';
import { type Context, controller, type Running } from './context.ts';

export interface ServiceAccountOptions {
  /** PEM of the CA that signed the API server's certificate. */
  caCertificate: string;
}

const rootCaName = 'kube-root-ca.crt';

/** What every pod may count on in its namespace: the ServiceAccount `default`, and the API's CA in the ConfigMap `kube-root-ca.crt`. */
export function serviceAccountController(context: Context, options: ServiceAccountOptions): Running {
  const { api, informers } = context;
  const namespaces = informers.of(Namespaces);
  const accounts = informers.of(ServiceAccounts);
  const maps = informers.of(ConfigMaps);
  const running = controller(context, {
    name: 'service-account-controller',
    informers: [namespaces, accounts, maps],
    work: sync,
  });
  const { queue } = running;

  async function sync(name: string): Promise<void> {
    const namespace = namespaces.get(name);
    if (!namespace || isDeleting(namespace)) return;
    if (!accounts.get(`${name}/default`)) await make(api, ServiceAccounts, { metadata: { name: 'default', namespace: name } });
    const map = maps.get(`${name}/${rootCaName}`);
    const data = { 'ca.crt': options.caCertificate };
    if (!map) {
      const annotations = {
        'kubernetes.io/description':
          'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.',
      };
      await make<ConfigMap>(api, ConfigMaps, { metadata: { name: rootCaName, namespace: name, annotations }, data });
    } else if (!jsonEqual(map.data, data)) await api.update(ConfigMaps, { ...map, data });
  }

  const byNamespace = (changes: readonly { object: KubeObject }[]): void => {
    for (const { object } of changes)
      if (object.metadata.name === 'default' || object.metadata.name === rootCaName) queue.add(object.metadata.namespace ?? '');
  };
  const offs = [
    namespaces.onChange((changes) => {
      for (const { type, key } of changes) if (type !== 'deleted') queue.add(key);
    }),
    accounts.onChange(byNamespace),
    maps.onChange(byNamespace),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}

/** The namespace may be gone or going by now, and somebody else may have been faster: both are fine. */
async function make<T extends KubeObject>(api: Api, resource: Resource<T>, object: T): Promise<void> {
  try {
    await api.create(resource, object);
  } catch (error) {
    if (!isAlreadyExists(error) && !isNotFound(error) && !isForbidden(error)) throw error;
  }
}
