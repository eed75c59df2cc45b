import type { Json, StoredObject } from '../object.ts';
import type { Store } from '../store/store.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { ServiceAllocators } from './service-allocators.ts';

/** What the rules of a kind may look at. */
export interface Surroundings {
  store: Store;
  services: ServiceAllocators;
  /** Milliseconds since 1970. */
  now(): number;
}

/** Taken while an object is written; given back when the write comes to nothing. */
export interface Transaction {
  onAbort(undo: () => void): void;
  onCommit(act: () => void): void;
}

/**
 * What is peculiar to a kind. Everything is optional; the rest of a kind's life (identity, versions, finalizers, deletion, status as a
 * subresource) is the same for all and stands in registry.ts. Objects given to change are the server's own copies.
 */
export interface Strategy<T = StoredObject> {
  /** metadata.generation counts changes of what clients ask for. */
  generation?: true;
  /** Status on creation; otherwise clients' status is dropped when the kind has a status subresource. `keep`: nodes come with theirs. */
  initialStatus?: Json | 'keep' | ((object: T) => Json);
  /** Absent fields get their values, as in Kubernetes' defaults.go. Also runs after every change. */
  defaults?(object: T): void;
  prepareCreate?(object: T, around: Surroundings): void;
  prepareUpdate?(object: T, old: T, around: Surroundings): void;
  validate?(object: T, errors: FieldErrors, around: Surroundings): void;
  validateUpdate?(object: T, old: T, errors: FieldErrors, around: Surroundings): void;
  /** A write to the subresource `status`; the rest of the object is the stored one's. */
  validateStatus?(object: T, old: T, errors: FieldErrors, around: Surroundings): void;
  /** Texts for the Warning header. */
  warnings?(object: T, old: T | undefined): string[];
  /** The last step before the write, after everything was found valid: takes what must be unique in the cluster. */
  allocate?(object: T, old: T | undefined, errors: FieldErrors, transaction: Transaction, around: Surroundings): void;
  /** After the object left the store. */
  removed?(object: T, around: Surroundings): void;
}

/** A strategy for objects that are known to be of its kind. */
export const strategy = <T>(of: Strategy<T>): Strategy => of as unknown as Strategy;
