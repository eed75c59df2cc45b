import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import { type Api, ApiError, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { allResources, apiVersionOf } from '../kube/resources.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { UsageError, unreadable } from './errors.ts';

/** An object of a manifest and where it stands: `guestbook.yaml:18`. */
export interface Manifest {
  object: KubeObject;
  resource: Resource;
  at: string;
}

/** An object that a file holds, of whatever kind, and where it stands. */
export type ManifestObject = Omit<Manifest, 'resource'>;

/**
 * Reads a manifest file, or every `.yaml`, `.yml` and `.json` file of a folder in the order of their names, as `kubectl apply -f` does.
 * @throws UsageError naming file, line and fault; nothing is returned of files with a fault
 */
export const readManifests = (path: string): Manifest[] => readFiles(path, parseManifests);

/** The same for objects of every kind, also of such that podnet does not know. @throws UsageError */
export const readObjects = (path: string): ManifestObject[] => readFiles(path, parseObjects);

function readFiles<T>(path: string, parse: (text: string, file: string) => T[]): T[] {
  const found = filesOf(path).flatMap((file) => parse(textOf(file), file));
  if (found.length === 0) throw new UsageError(`${path} holds no object; leave it out`);
  return found;
}

/** @param file the name that messages show */
export const parseManifests = (text: string, file: string): Manifest[] =>
  parseObjects(text, file).map(({ object, at }) => ({ object, resource: resourceOf(object, at), at }));

function parseObjects(text: string, file: string): ManifestObject[] {
  const objects: ManifestObject[] = [];
  for (const { value, at } of text.trimStart().startsWith('{') ? jsonDocument(text, file) : yamlDocuments(text, file))
    for (const object of itemsOf(value, at)) objects.push({ object: named(object, at), at });
  return objects;
}

/** JSON is YAML too, and parsed a hundred times as fast; what only looks like it is YAML in flow style. */
function jsonDocument(text: string, file: string): Iterable<{ value: unknown; at: string }> {
  try {
    return [{ value: JSON.parse(text) as unknown, at: `${file}:1` }];
  } catch {
    return yamlDocuments(text, file);
  }
}

function* yamlDocuments(text: string, file: string): Iterable<{ value: unknown; at: string }> {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, version: '1.1' });
  for (const document of Array.isArray(documents) ? documents : []) {
    const fault = document.errors[0];
    if (fault)
      throw new UsageError(
        `${file}:${lines.linePos(fault.pos[0]).line}: ${fault.message.split('\n')[0]!.replace(/ at line.*/, '')}`,
      );
    const value: unknown = document.toJS();
    if (value !== null && value !== undefined)
      yield { value, at: `${file}:${lines.linePos(document.contents?.range?.[0] ?? 0).line}` };
  }
}

/** A `List` stands for its items. */
function itemsOf(value: unknown, at: string): KubeObject[] {
  if (typeof value !== 'object' || Array.isArray(value))
    throw new UsageError(`${at}: a manifest is a mapping, not ${JSON.stringify(value)}`);
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  return kind === 'List' && Array.isArray(items) ? items.flatMap((item) => itemsOf(item, at)) : [value as KubeObject];
}

/** Checks that an object says what it is. */
function named(object: KubeObject, at: string): KubeObject {
  const { apiVersion, kind, metadata } = object;
  if (!apiVersion || !kind)
    throw new UsageError(
      `${at}: an object needs apiVersion and kind; apiVersion is ${JSON.stringify(apiVersion)}, kind ${JSON.stringify(kind)}`,
    );
  if (!metadata?.name) throw new UsageError(`${at}: ${kind} has no metadata.name; give it one`);
  checkTexts(object, `${at}: ${kind}`);
  return object;
}

/** What YAML reads otherwise than it was meant, and no API takes: names and labels that are numbers, yes and no, a list. */
function checkTexts({ metadata, ...object }: KubeObject, what: string): void {
  const refuse = (path: string, value: unknown): never => {
    const hint = typeof value === 'object' ? '' : ': write it in quotes';
    throw new UsageError(`${what}: ${path} is ${JSON.stringify(value)}, not a text${hint}`);
  };
  const { name, namespace, labels, annotations }: { [field in 'name' | 'namespace' | 'labels' | 'annotations']?: unknown } = metadata;
  if (typeof name !== 'string') refuse('metadata.name', name);
  if (typeof (namespace ?? '') !== 'string') refuse('metadata.namespace', namespace);
  for (const [path, texts] of Object.entries({ labels, annotations })) {
    if (texts === undefined || texts === null) continue;
    if (typeof texts !== 'object' || Array.isArray(texts))
      throw new UsageError(`${what}: metadata.${path} is ${JSON.stringify(texts)}, not a mapping`);
    for (const [key, value] of Object.entries(texts)) if (typeof value !== 'string') refuse(`metadata.${path}.${key}`, value);
  }
  const { spec } = object as { spec?: unknown };
  if (spec !== undefined && spec !== null && (typeof spec !== 'object' || Array.isArray(spec)))
    throw new UsageError(`${what}: spec is ${JSON.stringify(spec)}, not a mapping`);
}

/** All that a lab's API serves and takes objects of. */
const knownResources: readonly Resource[] = [...allResources, ...clusterPolicyResources];

function resourceOf({ apiVersion, kind }: KubeObject, at: string): Resource {
  const found = knownResources.find((resource) => resource.kind === kind && apiVersionOf(resource) === apiVersion);
  if (!found) {
    const near = knownResources.find((resource) => resource.kind === kind);
    const hint = near ? `did you mean apiVersion ${apiVersionOf(near)}?` : 'install the API that it belongs to, or leave it out';
    throw new UsageError(`${at}: no kind "${kind}" in ${apiVersion}: ${hint}`);
  }
  return found;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function filesOf(path: string): string[] {
  let folder: boolean;
  try {
    folder = statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!folder) return [path];
  const files = readdirSync(path)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort();
  if (files.length === 0) throw new UsageError(`${path} holds no .yaml, .yml or .json file`);
  return files.map((name) => join(path, name));
}

const namespaceOf = ({ resource, object }: Manifest): string | undefined =>
  resource.namespaced ? (object.metadata.namespace ?? 'default') : undefined;

/**
 * What the API would hold once a manifest is applied: defaults are filled in, addresses of Services are chosen, and nothing is kept. Of a namespace that is not there yet, and of
 * kinds that it does not know, the object is as it was given.
 * @throws ApiError when the API would refuse it
 */
export async function dryRun(api: Api, { object, at }: ManifestObject): Promise<KubeObject> {
  const resource = knownResources.find((one) => one.kind === object.kind && apiVersionOf(one) === object.apiVersion);
  if (!resource) return object;
  const namespace = namespaceOf({ resource, object, at });
  const named = { ...object, metadata: { ...object.metadata, ...(namespace === undefined ? {} : { namespace }) } };
  const made = (one: KubeObject): KubeObject => ({ ...one, apiVersion: object.apiVersion, kind: object.kind });
  try {
    const { metadata } = await api.get(resource, object.metadata.name, namespace);
    const present = { ...named, metadata: { ...named.metadata, resourceVersion: metadata.resourceVersion } };
    return made(await api.update(resource, present, { dryRun: true }));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    return made(await api.create(resource, named, { dryRun: true }));
  } catch (error) {
    if (isNotFound(error)) return named;
    throw error;
  }
}

/** What became of one manifest: `error` is the server's own sentence. */
export interface Applied {
  manifest: Manifest;
  error?: string;
}

/**
 * Applies manifests on the server side, in their order, Namespaces first. One that is refused does not stop the others.
 * @returns one entry for each manifest
 */
export async function applyManifests(api: Api, manifests: readonly Manifest[], fieldManager = 'podnet'): Promise<Applied[]> {
  const ordered = manifests.toSorted((a, b) => Number(b.object.kind === 'Namespace') - Number(a.object.kind === 'Namespace'));
  const applied: Applied[] = [];
  for (const manifest of ordered) {
    const { resource, object } = manifest;
    const namespace = namespaceOf(manifest);
    try {
      await api.patch(resource, object.metadata.name, namespace, object, 'apply', { fieldManager, force: true });
      applied.push({ manifest });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      applied.push({ manifest, error: `${manifest.at}: ${error.message}` });
    }
  }
  return applied;
}
