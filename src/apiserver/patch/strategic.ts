import { badRequest } from '../errors.ts';
import { clone, isJson, type Json, own, setOwn } from '../object.ts';
import type { Field, FieldType, Model } from '../schema/index.ts';
import { mergePatch } from './merge-patch.ts';

const setElementOrder = '$setElementOrder/';
const deleteFromList = '$deleteFromPrimitiveList/';

const modelOf = (type: FieldType | undefined): Model | undefined => (type?.kind === 'model' ? type.model : undefined);

/**
 * Strategic merge patch (apimachinery's util/strategicpatch): lists of objects are merged by the merge key that the model names, lists of
 * scalars as sets, the rest is replaced. Directives: `$patch: delete|replace|merge`, `$retainKeys`, `$setElementOrder/<list>`,
 * `$deleteFromPrimitiveList/<list>`. The target is left alone.
 * @param model undefined: below, the schema says nothing, and the patch is a JSON merge patch
 * @throws ApiError 400
 */
export function strategicMerge(model: Model | undefined, target: unknown, patch: Json): Json {
  const directive = patch.$patch;
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw badRequest(`Unknown patch type found: ${String(directive)}`);
  const result: Json = isJson(target) ? { ...target } : {};
  if (patch.$retainKeys !== undefined) retain(result, patch);
  for (const name of Object.keys(patch)) {
    if (name === '$patch' || name === '$retainKeys') continue;
    if (name.startsWith(setElementOrder)) continue;
    if (name.startsWith(deleteFromList)) {
      deleteValues(result, name.slice(deleteFromList.length), patch[name]);
      continue;
    }
    const value = patch[name];
    const field = model?.fields.get(name);
    if (value === null) delete result[name];
    else if (Array.isArray(value))
      setOwn(result, name, mergeList(field, own(result, name), value, patch[setElementOrder + name]));
    else if (isJson(value)) setOwn(result, name, mergeObject(field, own(result, name), value));
    else setOwn(result, name, value);
  }
  for (const name of Object.keys(patch)) {
    if (!name.startsWith(setElementOrder)) continue;
    const list = name.slice(setElementOrder.length);
    const current = own(result, list);
    if (!Object.hasOwn(patch, list) && Array.isArray(current))
      result[list] = ordered(current, patch[name] as unknown[], model?.fields.get(list)?.mergeKey, []);
  }
  return result;
}

function mergeObject(field: Field | undefined, target: unknown, patch: Json): unknown {
  const { type } = field ?? {};
  if (type?.kind === 'map') {
    if (patch.$patch === 'replace') return withoutDirectives(patch);
    if (patch.$patch === 'delete') return {};
    const values = modelOf(type.values);
    if (values && !values.special) {
      const result: Json = isJson(target) ? { ...target } : {};
      for (const [name, value] of Object.entries(patch)) {
        if (value === null) delete result[name];
        else setOwn(result, name, isJson(value) ? strategicMerge(values, own(result, name), value) : clone(value));
      }
      return result;
    }
    return mergePatch(target, patch);
  }
  const model = modelOf(type);
  // A union such as Deployment's strategy is replaced as a whole.
  if (field?.strategies.includes('replace')) return withoutDirectives(patch);
  if (model?.special) return clone(patch);
  return strategicMerge(model, target, patch);
}

function retain(result: Json, patch: Json): void {
  const keys = patch.$retainKeys;
  if (!Array.isArray(keys)) throw badRequest('$retainKeys is a list of names');
  for (const name of Object.keys(patch))
    if (!name.startsWith('$') && patch[name] !== null && !keys.includes(name))
      throw badRequest(`"${name}" is present in the patch but not in its $retainKeys list`);
  for (const name of Object.keys(result)) if (!keys.includes(name)) delete result[name];
}

function deleteValues(result: Json, name: string, values: unknown): void {
  if (!Array.isArray(values)) throw badRequest(`${deleteFromList}${name} is a list`);
  const current = own(result, name);
  if (Array.isArray(current)) result[name] = current.filter((item) => !values.includes(item));
}

function withoutDirectives(patch: Json): Json {
  const { $patch: _patch, $retainKeys: _retainKeys, ...rest } = patch;
  return clone(rest);
}

function mergeList(field: Field | undefined, target: unknown, patch: unknown[], order: unknown): unknown[] {
  if (!field?.strategies.includes('merge')) return patch.filter((item) => !isJson(item) || item.$patch === undefined).map(clone);
  const current: unknown[] = Array.isArray(target) ? target : [];
  const { mergeKey } = field;
  const server = current.map((item) => idOf(item, mergeKey));
  if (!mergeKey) {
    const merged = [...current];
    for (const item of patch) if (!merged.includes(item)) merged.push(item);
    return ordered(merged, order, undefined, server);
  }
  const replacing = patch.some((item) => isJson(item) && item.$patch === 'replace');
  const items = modelOf(field.type.kind === 'list' ? field.type.items : undefined);
  let merged: unknown[] = replacing ? [] : [...current];
  for (const item of patch) {
    if (!isJson(item)) throw badRequest(`a list of objects merged by "${mergeKey}" has an item that is none`);
    if (item.$patch === 'replace' && !Object.hasOwn(item, mergeKey)) continue;
    const id = item[mergeKey];
    if (id === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    const at = merged.findIndex((other) => isJson(other) && other[mergeKey] === id);
    if (item.$patch === 'delete') merged = merged.filter((other) => !isJson(other) || other[mergeKey] !== id);
    else if (at >= 0) merged[at] = strategicMerge(items, merged[at], item);
    else merged.push(strategicMerge(items, {}, item));
  }
  return ordered(merged, order, mergeKey, server);
}

const idOf = (item: unknown, mergeKey: string | undefined): unknown => (mergeKey && isJson(item) ? item[mergeKey] : item);

/**
 * Items that the order names come in that order; others keep their place relative to their neighbours on the server, as
 * strategicpatch's normalizeElementOrder does it.
 */
function ordered(items: unknown[], order: unknown, mergeKey: string | undefined, server: readonly unknown[]): unknown[] {
  if (!Array.isArray(order)) return items;
  const rank = new Map(order.map((item, at) => [idOf(item, mergeKey), at]));
  const named = items.filter((item) => rank.has(idOf(item, mergeKey)));
  named.sort((a, b) => rank.get(idOf(a, mergeKey))! - rank.get(idOf(b, mergeKey))!);
  const others = items.filter((item) => !rank.has(idOf(item, mergeKey)));
  const serverOrder = server.length > 0 ? server : items.map((item) => idOf(item, mergeKey));
  const place = new Map(serverOrder.map((id, at) => [id, at]));
  const result: unknown[] = [];
  let [i, j] = [0, 0];
  while (i < named.length && j < others.length) {
    const ours = place.get(idOf(named[i], mergeKey));
    const theirs = place.get(idOf(others[j], mergeKey)) ?? Number.POSITIVE_INFINITY;
    // An item that the server did not have goes before those it had later.
    if (ours !== undefined && theirs < ours) result.push(others[j++]);
    else result.push(named[i++]);
  }
  return [...result, ...named.slice(i), ...others.slice(j)];
}
