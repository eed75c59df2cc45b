import type { KubeObject } from '../kube/api.ts';
import type { ObjectMeta } from '../kube/types.ts';

/** Plain JSON with names. */
export type Json = Record<string, unknown>;

/** An object of the API as the server holds it. What is stored is frozen, all the way down. */
export interface StoredObject extends KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: Json;
  status?: Json;
  [field: string]: unknown;
}

export const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A copy of plain JSON, several times as fast as structuredClone. `undefined` members are left out. */
export function clone<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(clone) as T;
  const copy: Json = {};
  for (const name of Object.keys(value)) {
    const member = (value as Json)[name];
    if (member === undefined) continue;
    if (name === '__proto__') setOwn(copy, name, clone(member));
    else copy[name] = typeof member === 'object' ? clone(member) : member;
  }
  return copy as T;
}

/** Sets an own property whatever its name: `__proto__` is a legal label and a legal key of a ConfigMap. */
export function setOwn(target: Json, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  else target[name] = value;
}

/** An own property, whatever its name. */
export const own = (target: Json | undefined, name: string): unknown =>
  target && Object.hasOwn(target, name) ? target[name] : undefined;

export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const name of Object.keys(value)) deepFreeze((value as Json)[name]);
  return value;
}

/** An object of a known kind, seen as one of any. */
export const stored = (object: KubeObject): StoredObject => object as unknown as StoredObject;
/** An object of any kind, seen as one that was checked to be of a certain kind. */
export const as = <T>(object: object): T => object as unknown as T;
