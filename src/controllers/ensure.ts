import { type Api, isAlreadyExists, isConflict, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { jsonEqual } from '../kube/objects.ts';

/** Fields of an object beside its metadata. */
type Content = Record<string, unknown>;

/**
 * Makes the object, or makes the one that stands say what this one says: fields that this one does not name are left alone, so that what the
 * server filled in stays. Writes nothing that is right.
 */
export async function ensure<T extends KubeObject>(api: Api, resource: Resource<T>, wanted: T): Promise<T> {
  const { name, namespace } = wanted.metadata;
  for (let attempt = 0; ; attempt++) {
    try {
      const present = await api.get(resource, name, namespace);
      const next = overlay(present as unknown as Content, wanted as unknown as Content) as unknown as T;
      return jsonEqual(next, present) ? present : await api.update(resource, next);
    } catch (error) {
      if (!isNotFound(error) && !(isConflict(error) && attempt < 5)) throw error;
      if (isConflict(error)) continue;
    }
    try {
      return await api.create(resource, wanted);
    } catch (error) {
      if (!isAlreadyExists(error) || attempt >= 5) throw error;
    }
  }
}

/** Objects are merged, everything else (lists too) is replaced. */
function overlay(present: Content, wanted: Content): Content {
  const result: Content = { ...present };
  for (const [name, value] of Object.entries(wanted)) {
    const old = result[name];
    const both = [old, value].every((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
    if (value !== undefined) result[name] = both ? overlay(old as Content, value as Content) : value;
  }
  return result;
}
