import type { Api, KubeObject, Resource, WatchEvent, WatchOptions } from '../../kube/api.ts';

/** An API whose server can be down: calls are refused and watches end, as with a closed connection. */
export function switchable(api: Api): { api: Api; setUp(up: boolean): void } {
  let isUp = true;
  const watches = new Set<() => void>();
  const refused = (): Error => Object.assign(new Error('connect ECONNREFUSED 192.0.2.9:6443'), { code: 'ECONNREFUSED' });
  const watch = <T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void } => {
    if (!isUp) {
      const soon = setImmediate(() => options.onEnd(refused()));
      return { close: () => clearImmediate(soon) };
    }
    const stream = api.watch(resource, onEvent, options);
    const cut = (): void => {
      close();
      options.onEnd(refused());
    };
    const close = (): void => {
      watches.delete(cut);
      stream.close();
    };
    watches.add(cut);
    return { close };
  };
  return {
    api: new Proxy(api, {
      get(target, name: keyof Api) {
        if (name === 'watch') return watch;
        const call = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
        return (...args: unknown[]) => (isUp ? call(...args) : Promise.reject(refused()));
      },
    }),
    setUp(up) {
      isUp = up;
      if (!up) for (const cut of [...watches]) cut();
    },
  };
}
