import { ApiError, initialEventsEnd, type KubeObject, type Resource, type WatchEvent, type WatchOptions } from './api.ts';
import { type Shelves, selection, type Version } from './fake-shelves.ts';

/**
 * A watch of one kind: exact, by the history of the shelf; events go out in bursts, as they come from a server.
 * @param watchList whether the server knows sendInitialEvents
 */
export function watchShelf<T extends KubeObject>(
  shelves: Shelves,
  resource: Resource<T>,
  onEvent: (event: WatchEvent<T>) => void,
  options: WatchOptions,
  watchList: boolean,
): { close(): void } {
  const shelf = shelves.shelf(resource);
  const selects = selection(options);
  let over = false;
  let queue: WatchEvent<T>[] = [];
  let scheduled = false;
  const close = (): void => {
    over = true;
    shelf.watchers.delete(onVersion);
    clearTimeout(timer);
  };
  const end = (error?: Error): void => {
    if (over) return;
    close();
    options.onEnd(error);
  };
  const send = (type: WatchEvent<T>['type'], object: KubeObject): void => {
    queue.push({ type, object: structuredClone(object) as T });
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const events = queue;
      queue = [];
      for (const event of events) if (!over) onEvent(event);
    });
  };
  const onVersion = ({ at, before, after }: Version): void => {
    const was = before !== undefined && selects(before);
    const is = after !== undefined && selects(after);
    if (is) send(was ? 'MODIFIED' : 'ADDED', after);
    else if (was) {
      const last = after ?? before;
      send('DELETED', { ...last, metadata: { ...last.metadata, resourceVersion: String(at) } });
    }
  };
  const bookmark = (annotations?: Record<string, string>): void =>
    send('BOOKMARK', {
      metadata: { name: '', resourceVersion: String(shelves.version), ...(annotations ? { annotations } : {}) },
    });
  const timer = options.timeoutSeconds
    ? setTimeout(() => {
        if (options.allowWatchBookmarks) bookmark();
        setImmediate(() => end());
      }, options.timeoutSeconds * 1000).unref()
    : undefined;
  if (options.sendInitialEvents && !watchList) {
    const message =
      'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
    setImmediate(() => end(new ApiError(422, 'Invalid', message)));
    return { close };
  }
  const from = options.resourceVersion ?? '';
  if (options.sendInitialEvents || from === '' || from === '0') {
    for (const object of shelf.objects.values()) if (selects(object)) send('ADDED', object);
    if (options.sendInitialEvents) bookmark({ [initialEventsEnd]: 'true' });
  } else if (Number(from) < shelf.compactedAt) {
    setImmediate(() => end(new ApiError(410, 'Expired', `too old resource version: ${from} (${shelves.version})`)));
    return { close };
  } else if (Number(from) > shelves.version) {
    setImmediate(() => end(new ApiError(504, 'Timeout', `Too large resource version: ${from}, current: ${shelves.version}`)));
    return { close };
  } else for (const version of shelf.history) if (version.at > Number(from)) onVersion(version);
  shelf.watchers.add(onVersion);
  return { close };
}
