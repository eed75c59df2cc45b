import type { ApiError } from '../../kube/api.ts';
import { badRequest, tooLargeVersion } from '../errors.ts';
import { type ApiResource, storageOf } from '../resources.ts';
import { type Change, type Entry, type EventType, eventLine } from '../store/entry.ts';
import type { Selection } from '../store/selection.ts';
import type { Store } from '../store/store.ts';
import { fromStored, viewOf } from './convert.ts';

export interface WatchRequest {
  resource: ApiResource;
  selection: Selection;
  /** '' or '0': the present objects come first, as ADDED. */
  resourceVersion?: string;
  /** WatchList: the same, and a bookmark when they are through. `false`: never. */
  sendInitialEvents?: boolean;
  allowWatchBookmarks?: boolean;
  timeoutSeconds?: number;
}

/** Where events go. Nothing comes after `end`. */
export interface WatchSink {
  event(type: EventType, entry: Entry, line: () => Buffer): void;
  bookmark(version: number, initialEventsEnd: boolean): void;
  end(error?: ApiError): void;
}

const bookmarkEveryMs = 60_000;
/** Watches without a time-out last 30 to 60 minutes, so that not all of them come back at once. */
const defaultTimeoutSeconds = (): number => 1800 + Math.floor(Math.random() * 1800);

/** @throws ApiError 400 */
export function parseVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const version = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(version))
    throw badRequest(`resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`);
  return version;
}

/** @throws ApiError 410 or 504 before anything is sent */
export function openWatch(store: Store, watch: WatchRequest, sink: WatchSink): { close(): void } {
  const { resource, selection } = watch;
  const asked = parseVersion(watch.resourceVersion);
  if (asked !== undefined && asked > store.version) throw tooLargeVersion(String(asked), store.version);
  const initial = watch.sendInitialEvents ?? !asked;
  let from = asked ?? store.version;
  if (from === 0) from = store.version;
  const storage = storageOf(resource);
  const matches = resource.storedAs
    ? (entry: Entry): boolean => selection.matches(viewOf(resource, entry).object)
    : (entry: Entry): boolean => selection.matches(entry.object);
  const onChange = (change: Change): void => {
    if (selection.namespace !== undefined && change.namespace !== selection.namespace) return;
    if (selection.name !== undefined && change.name !== selection.name) return;
    const { before, after } = change;
    const seen = selection.everything
      ? change.seen(before !== undefined, after !== undefined)
      : change.seen(before !== undefined && matches(before), after !== undefined && matches(after));
    if (!seen) return;
    if (!resource.storedAs) sink.event(seen.type, seen.entry, seen.line);
    else {
      const view = viewOf(resource, seen.entry);
      sink.event(seen.type, view, () => eventLine(seen.type, view));
    }
  };
  if (initial) {
    from = store.version;
    const present = selection.everything
      ? selection
      : { ...selection, matches: (object: Entry['object']) => selection.matches(fromStored(resource, object)) };
    for (const entry of store.list(storage, present).entries) {
      const view = viewOf(resource, entry);
      sink.event('ADDED', view, () => eventLine('ADDED', view));
    }
    if (watch.sendInitialEvents) sink.bookmark(from, true);
  }
  const subscription = store.watch(storage, from, onChange);
  let bookmarks: NodeJS.Timeout | undefined;
  if (watch.allowWatchBookmarks) bookmarks = setInterval(() => sink.bookmark(store.version, false), bookmarkEveryMs).unref();
  const seconds = watch.timeoutSeconds || defaultTimeoutSeconds();
  const timeout = setTimeout(() => {
    if (watch.allowWatchBookmarks) sink.bookmark(store.version, false);
    close();
    sink.end();
  }, seconds * 1000).unref();
  const close = (): void => {
    subscription.close();
    clearInterval(bookmarks);
    clearTimeout(timeout);
  };
  return { close };
}
