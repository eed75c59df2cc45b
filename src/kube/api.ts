import type { ObjectMeta } from './types.ts';

/** Every Kubernetes object has this shape. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

/**
 * What names a served resource: `group` is '' for the core group. The constants in `resources.ts` carry the type of their objects, so
 * that `api.get(Pods, …)` gives a Pod.
 */
export interface Resource<T extends KubeObject = KubeObject> {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  /** Never present at run time: only carries the type. A method, so that a Resource of unknown objects fits everywhere. */
  __objects?(object: T): void;
}

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}

export interface List<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue'> {
  /** WatchList: the present objects come first as ADDED, then a BOOKMARK annotated `k8s.io/initial-events-end`. */
  sendInitialEvents?: boolean;
  allowWatchBookmarks?: boolean;
  timeoutSeconds?: number;
  /** Called once when the stream ends: without error at a clean end (time-out), with the error otherwise. */
  onEnd: (error?: Error) => void;
}

/** Annotation of the BOOKMARK that ends the initial events of a WatchList. */
export const initialEventsEnd = 'k8s.io/initial-events-end';

/** PATCH content types by their short names: JSON merge, strategic merge, RFC 6902, server-side apply. */
export type PatchType = 'merge' | 'strategic' | 'json' | 'apply';

export interface WriteOptions {
  subresource?: 'status' | 'scale' | 'binding' | 'finalize' | 'eviction' | 'token';
  fieldManager?: string;
  dryRun?: boolean;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
}

/**
 * The Kubernetes API as podnet uses it. Two implementations: `KubeClient` over TLS, and the embedded server's own in-process one, which the
 * lab's controllers use. Failures are `ApiError`s. Returned objects are the caller's own: changing them changes nothing else.
 */
export interface Api {
  get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T>;
  list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<List<T>>;
  create<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  /** Replaces; conflicts (409) when `metadata.resourceVersion` is set and not the newest. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    type: PatchType,
    options?: WriteOptions & { force?: boolean },
  ): Promise<T>;
  delete(resource: Resource, name: string, namespace?: string, options?: DeleteOptions): Promise<void>;
  /** Streams events until closed or ended. */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void };
}

/** A `Status` answer of the API. */
export class ApiError extends Error {
  /** HTTP status code. */
  readonly code: number;
  /** Machine-readable, e.g. `NotFound`, `Conflict`, `AlreadyExists`, `Invalid`, `Expired`. */
  readonly reason: string;
  readonly details: unknown;

  constructor(code: number, reason: string, message: string, details?: unknown) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

const reasonIs =
  (reason: string) =>
  (error: unknown): boolean =>
    error instanceof ApiError && error.reason === reason;
export const isNotFound = reasonIs('NotFound');
export const isConflict = reasonIs('Conflict');
export const isAlreadyExists = reasonIs('AlreadyExists');
export const isForbidden = reasonIs('Forbidden');
/** 410: the resourceVersion is too old; list again. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.code === 410;
