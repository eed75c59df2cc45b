import { jsonEqual } from '../../kube/objects.ts';
import { isJson, type Json, own, setOwn } from '../object.ts';
import type { Field, FieldType, Model } from '../schema/index.ts';
import { childOf, emptySet, type FieldSet } from './field-set.ts';

/** How server-side apply sees a value: as one, or as parts that different managers can own. */
export type Shape =
  | { kind: 'atomic' }
  | { kind: 'struct'; model: Model }
  | { kind: 'map'; values: FieldType }
  | { kind: 'listMap'; keys: readonly string[]; items: Model }
  | { kind: 'listSet' };

const atomic: Shape = { kind: 'atomic' };

function shapeOf(type: FieldType, field?: Field): Shape {
  if (type.kind === 'model')
    return type.model.special || field?.atomic || type.model.atomic ? atomic : { kind: 'struct', model: type.model };
  if (field?.atomic) return atomic;
  if (type.kind === 'map') return { kind: 'map', values: type.values };
  if (type.kind !== 'list') return atomic;
  if (field?.listType === 'set') return { kind: 'listSet' };
  if (field?.listType === 'map' && type.items.kind === 'model')
    return { kind: 'listMap', keys: field.mapKeys, items: type.items.model };
  return atomic;
}

/** The step to an item of a list-map. Keys that the item leaves out have their default. */
function itemStep(shape: { keys: readonly string[]; items: Model }, item: unknown): string {
  const keys: Json = {};
  for (const name of [...shape.keys].sort()) {
    const value = isJson(item) ? (item[name] ?? shape.items.fields.get(name)?.default) : undefined;
    if (value !== undefined) keys[name] = value;
  }
  return `k:${JSON.stringify(keys)}`;
}

const valueStep = (item: unknown): string => `v:${JSON.stringify(item)}`;

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The paths that an applied configuration sets. */
export function fieldsOf(model: Model, object: Json): FieldSet {
  const set = emptySet();
  collect({ kind: 'struct', model }, object, set, false);
  return set;
}

/** @param marked containers that came to be with the value are members too */
function collect(shape: Shape, value: unknown, set: FieldSet, marked: boolean, nullable = false): void {
  switch (shape.kind) {
    case 'atomic':
      set.member = true;
      return;
    case 'struct': {
      const names = isJson(value) ? Object.keys(value) : [];
      if (names.length === 0 || (marked && nullable)) set.member = true;
      for (const name of names) {
        const field = shape.model.fields.get(name);
        if (field) collect(shapeOf(field.type, field), (value as Json)[name], childOf(set, `f:${name}`), marked, field.nullable);
      }
      return;
    }
    case 'map': {
      const names = isJson(value) ? Object.keys(value) : [];
      if (names.length === 0 || marked) set.member = true;
      for (const name of names) collect(shapeOf(shape.values), (value as Json)[name], childOf(set, `f:${name}`), marked);
      return;
    }
    case 'listMap': {
      const items = list(value);
      if (items.length === 0 || marked) set.member = true;
      for (const item of items) {
        const child = childOf(set, itemStep(shape, item));
        collect({ kind: 'struct', model: shape.items }, item, child, marked);
        child.member = true;
      }
      return;
    }
    case 'listSet': {
      const items = list(value);
      if (items.length === 0 || marked) set.member = true;
      for (const item of items) childOf(set, valueStep(item)).member = true;
    }
  }
}

export interface Comparison {
  /** Added or changed. */
  changed: FieldSet;
  removed: FieldSet;
}

/** What became different between two states of an object. */
export function compare(model: Model, before: Json, after: Json): Comparison {
  const result = { changed: emptySet(), removed: emptySet() };
  compareValues({ kind: 'struct', model }, before, after, result);
  prune(result.changed);
  prune(result.removed);
  return result;
}

function compareValues(shape: Shape, before: unknown, after: unknown, at: Comparison, nullable = false): void {
  if (before === after) return;
  if (before === undefined || after === undefined) {
    if (before === undefined) collect(shape, after, at.changed, true, nullable);
    else collect(shape, before, at.removed, true, nullable);
    return;
  }
  const below = (step: string): Comparison => ({ changed: childOf(at.changed, step), removed: childOf(at.removed, step) });
  switch (shape.kind) {
    case 'atomic':
      if (!jsonEqual(before, after)) at.changed.member = true;
      return;
    case 'struct':
    case 'map': {
      const [old, now] = [isJson(before) ? before : {}, isJson(after) ? after : {}];
      for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
        const [a, b] = [own(old, name), own(now, name)];
        if (a === b) continue;
        const field = shape.kind === 'struct' ? shape.model.fields.get(name) : undefined;
        if (shape.kind === 'struct' && !field) continue;
        compareValues(
          field ? shapeOf(field.type, field) : shapeOf((shape as { values: FieldType }).values),
          a,
          b,
          below(`f:${name}`),
          field?.nullable,
        );
      }
      return;
    }
    case 'listMap': {
      const items: Shape = { kind: 'struct', model: shape.items };
      const old = new Map(list(before).map((item) => [itemStep(shape, item), item]));
      const now = new Map(list(after).map((item) => [itemStep(shape, item), item]));
      for (const step of new Set([...old.keys(), ...now.keys()]))
        compareValues(items, old.get(step), now.get(step), below(step), true);
      return;
    }
    case 'listSet': {
      const old = new Set(list(before).map(valueStep));
      const now = new Set(list(after).map(valueStep));
      for (const step of now) if (!old.has(step)) childOf(at.changed, step).member = true;
      for (const step of old) if (!now.has(step)) childOf(at.removed, step).member = true;
    }
  }
}

/** Takes out branches without members. */
function prune(set: FieldSet): boolean {
  for (const [step, child] of set.children) if (!prune(child)) set.children.delete(step);
  return set.member || set.children.size > 0;
}

/** The applied configuration laid over the live object; what it does not name stays. */
export function merge(shape: Shape, live: unknown, applied: unknown): unknown {
  if (live === undefined) return applied;
  switch (shape.kind) {
    case 'atomic':
      return applied;
    case 'struct':
    case 'map': {
      if (!isJson(live) || !isJson(applied)) return applied;
      const result: Json = { ...live };
      for (const name of Object.keys(applied)) {
        const field = shape.kind === 'struct' ? shape.model.fields.get(name) : undefined;
        const type = shape.kind === 'map' ? shapeOf(shape.values) : field ? shapeOf(field.type, field) : atomic;
        setOwn(result, name, merge(type, own(live, name), applied[name]));
      }
      return result;
    }
    case 'listMap': {
      const items: Shape = { kind: 'struct', model: shape.items };
      const given = new Map(list(applied).map((item) => [itemStep(shape, item), item]));
      const present = new Map(list(live).map((item) => [itemStep(shape, item), item]));
      // Whoever names all items decides the order; otherwise new ones come last.
      const all = [...present.keys()].every((step) => given.has(step));
      const order = all ? [...given.keys()] : [...new Set([...present.keys(), ...given.keys()])];
      return order.map((step) => (given.has(step) ? merge(items, present.get(step), given.get(step)) : present.get(step)));
    }
    case 'listSet': {
      const seen = new Set(list(live).map(valueStep));
      return [...list(live), ...list(applied).filter((item) => !seen.has(valueStep(item)))];
    }
  }
}

/**
 * Removes the members of `gone` from a value, except what somebody else owns, or owns parts of. Gives the value without them.
 * @param kept what the others own, at the same place
 */
export function without(shape: Shape, value: unknown, gone: FieldSet, kept: FieldSet | undefined): unknown {
  const removed = (set: FieldSet, other: FieldSet | undefined): boolean => set.member && (!other || !isOwned(other));
  switch (shape.kind) {
    case 'struct':
    case 'map': {
      if (!isJson(value)) return value;
      const result: Json = { ...value };
      for (const [step, child] of gone.children) {
        const name = step.slice(2);
        const current = own(result, name);
        if (current === undefined) continue;
        const others = kept?.children.get(step);
        const field = shape.kind === 'struct' ? shape.model.fields.get(name) : undefined;
        const inner = shape.kind === 'map' ? shapeOf(shape.values) : field ? shapeOf(field.type, field) : atomic;
        if (removed(child, others)) delete result[name];
        else if (child.children.size > 0) setOwn(result, name, without(inner, current, child, others));
      }
      return result;
    }
    case 'listMap':
      return list(value).flatMap((item) => {
        const step = itemStep(shape, item);
        const child = gone.children.get(step);
        if (!child) return [item];
        const others = kept?.children.get(step);
        return removed(child, others) ? [] : [without({ kind: 'struct', model: shape.items }, item, child, others)];
      });
    case 'listSet':
      return list(value).filter((item) => {
        const step = valueStep(item);
        const child = gone.children.get(step);
        return !child || !removed(child, kept?.children.get(step));
      });
    case 'atomic':
      return value;
  }
}

/** Whether anybody owns something at or below this place. */
const isOwned = (set: FieldSet): boolean => set.member || [...set.children.values()].some(isOwned);
