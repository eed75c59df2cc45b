import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import { type Api, ApiError, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { allResources, apiVersionOf } from '../kube/resources.ts';
import { isPolicyKind } from '../policy/policies.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { UsageError, unreadable } from './errors.ts';
import { misfitOf } from './manifest-shape.ts';

/** An object of a manifest and where it stands: `guestbook.yaml:18`. */
export interface Manifest {
  object: KubeObject;
  resource: Resource;
  at: string;
}

/** An object that a file holds, of whatever kind, and where it stands. */
export type ManifestObject = Omit<Manifest, 'resource'>;

/**
 * Reads a manifest file, standard input (`-`), or every `.yaml`, `.yml` and `.json` file of a folder in the order of their names, as `kubectl apply -f` does.
 * @throws UsageError naming file, line and fault; nothing is returned of files with a fault
 */
export const readManifests = (path: string): Manifest[] => readFiles(path, parseManifests);

/** The same for objects of every kind, also of such that podnet does not know. @throws UsageError */
export const readObjects = (path: string): ManifestObject[] =>
  readFiles(path, (text, file) => parseObjects(text, file).map((one) => ({ ...one, object: fitting(one) })));

/** What podnet reads of an object must be of the form that the API wants. Policies are read whatever they look like: what is not understood of them fails closed. */
function fitting({ object, at }: ManifestObject): KubeObject {
  const misfit = isPolicyKind(object) ? undefined : misfitOf(object);
  if (!misfit) return object;
  const { path, value, expected } = misfit;
  const hint = expected === 'a text' && typeof value !== 'object' ? ': write it in quotes' : '';
  throw new UsageError(`${at}: ${object.kind} ${object.metadata.name}: ${path} is ${show(value)}, not ${expected}${hint}`);
}

function readFiles<T>(path: string, parse: (text: string, file: string) => T[]): T[] {
  const found = filesOf(path).flatMap((file) => parse(textOf(file), nameOf(file)));
  if (found.length === 0) throw new UsageError(`${nameOf(path)} holds no object; leave it out`);
  return found;
}

/** @param file the name that messages show */
export const parseManifests = (text: string, file: string): Manifest[] =>
  parseObjects(text, file).map(({ object, at }) => ({ object, resource: resourceOf(object, at), at }));

function parseObjects(given: string, file: string): ManifestObject[] {
  const objects: ManifestObject[] = [];
  // Editors of another system begin a file with a byte order mark.
  const text = given.replace(/^\uFEFF/, '');
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
    const at = `${file}:${lines.linePos(document.contents?.range?.[0] ?? 0).line}`;
    const value = valueOf(document, at, text.includes('*'));
    if (value !== null && value !== undefined)
      yield { value, at };
  }
}

/** @throws UsageError on aliases that lead in a circle, or to more than any manifest has */
function valueOf(document: { toJS: () => unknown }, at: string, hasAliases: boolean): unknown {
  try {
    const value = document.toJS();
    if (hasAliases && hasCircle(value)) throw new ReferenceError('an alias (*) stands for something that it is a part of');
    return value;
  } catch (error) {
    if (error instanceof ReferenceError) throw new UsageError(`${at}: ${error.message}; write it out`);
    throw error;
  }
}

function hasCircle(value: unknown, around: ReadonlySet<unknown> = new Set()): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (around.has(value)) return true;
  const inside = new Set(around).add(value);
  return Object.values(value).some((one) => hasCircle(one, inside));
}

/** A `List` stands for its items, and so does a `PodList` as an API gives it, of which the items do not say what they are. */
function itemsOf(value: unknown, at: string): KubeObject[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${at}: a manifest is a mapping, not ${show(value)}`);
  const { apiVersion, kind, items, metadata } = value as { apiVersion?: unknown; kind?: unknown; items?: unknown; metadata?: { name?: unknown } };
  if (typeof kind !== 'string' || !kind.endsWith('List') || metadata?.name !== undefined) return [value as KubeObject];
  // Go writes an empty list as null.
  if (items === undefined || items === null) return [];
  if (!Array.isArray(items)) throw new UsageError(`${at}: ${kind}: items is ${show(items)}, not a list`);
  const own = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) };
  return items.flatMap((item: unknown, place) => {
    if (!isMapping(item)) throw new UsageError(`${at}: ${kind}: items[${place}] is ${show(item)}, not a mapping`);
    return itemsOf({ ...own, ...item }, at);
  });
}

const isMapping = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value in a sentence: JSON, not too long. */
function show(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing';
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

/** Checks that an object says what it is. */
function named(object: KubeObject, at: string): KubeObject {
  const { apiVersion, kind, metadata } = object;
  if (!apiVersion || !kind)
    throw new UsageError(
      `${at}: an object needs apiVersion and kind; apiVersion is ${JSON.stringify(apiVersion)}, kind ${JSON.stringify(kind)}`,
    );
  if (metadata !== undefined && metadata !== null && !isMapping(metadata))
    throw new UsageError(`${at}: ${kind}: metadata is ${show(metadata)}, not a mapping`);
  const { generateName } = (metadata ?? {}) as { generateName?: unknown };
  if (!metadata?.name && generateName)
    throw new UsageError(
      `${at}: ${kind} has metadata.generateName ${show(generateName)} and no name, which the API makes up when it is created; give it metadata.name`,
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

/** As kubectl has it. */
const standardInput = '-';
const nameOf = (file: string): string => (file === standardInput ? 'standard input' : file);

function textOf(file: string): string {
  try {
    return readFileSync(file === standardInput ? 0 : file, 'utf8');
  } catch (error) {
    throw unreadable(nameOf(file), error);
  }
}

function filesOf(path: string): string[] {
  if (path === standardInput) return [path];
  let folder: boolean;
  try {
    folder = statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!folder) return [path];
  const entries = readdirSync(path, { withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory() && /\.(ya?ml|json)$/.test(entry.name))
    .map(({ name }) => name)
    .sort();
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (files.length === 0)
    throw new UsageError(
      `${path} holds no .yaml, .yml or .json file${folders.length > 0 ? `; folders in it are not looked into (${folders.slice(0, 3).join(', ')}${folders.length > 3 ? ', ...' : ''}): name them` : ''}`,
    );
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
