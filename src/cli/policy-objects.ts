import { type Api, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { apiVersionOf, EndpointSlices, Namespaces, NetworkPolicies, Nodes, Pods, Services } from '../kube/resources.ts';
import { EnvironmentError, LabError, UsageError } from '../lab/errors.ts';
import { modelOf } from '../lab/manifest-shape.ts';
import { readObjects } from '../lab/manifests.ts';
import { adminClient } from '../lab/up.ts';
import { MadeUpError } from '../policy/made-up.ts';
import { type Inventory, readCluster, readManifestObjects } from '../policy/manifests.ts';
import { policyName } from '../policy/model.ts';
import { groupBy } from '../policy/group-by.ts';
import { type AnyObject, isPolicyKind } from '../policy/policies.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { count, printable } from './output.ts';
import { runningLab } from './running-lab.ts';

/** Where the objects come from: files, offline and without root, or the API of a running lab. */
export interface ObjectSource {
  files?: readonly string[];
  lab: string;
}

/** @throws UsageError on a file that cannot be read, and when neither files nor a lab are there */
export async function inventoryOf(source: ObjectSource): Promise<Inventory> {
  const objects = await objectsOf(source);
  return inventoryFrom(source, objects);
}

/** Of objects that came from there, or would. */
export function inventoryFrom({ files }: ObjectSource, objects: readonly AnyObject[]): Inventory {
  try {
    return files === undefined ? readCluster(objects) : readManifestObjects(objects);
  } catch (error) {
    if (error instanceof MadeUpError) throw new UsageError(error.message);
    throw error;
  }
}

export async function objectsOf({ files, lab }: ObjectSource): Promise<AnyObject[]> {
  if (files !== undefined) {
    const objects = objectsIn(files);
    for (const text of unknownKinds(objects)) console.error(`podnet: ${printable(text)}`);
    return objects;
  }
  const { names } = labOrFiles(lab);
  using client = adminClient(names, 10_000);
  try {
    return await listAll(client);
  } catch (error) {
    throw new LabError(`the API of lab "${lab}" does not answer: ${(error as Error).message}`);
  }
}

function labOrFiles(lab: string): ReturnType<typeof runningLab> {
  try {
    return runningLab(lab);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${error.message}, or name manifests that hold what is there, with -f`);
    if (error instanceof EnvironmentError)
      throw new EnvironmentError(error.message, `${error.fix}, or name manifests that hold what is there, with -f`);
    throw error;
  }
}

/** Later files replace what earlier ones hold of the same name, as one `kubectl apply` after the other does. */
export function objectsIn(files: readonly string[]): AnyObject[] {
  return merge(files.flatMap((file) => readObjects(file).map(({ object }) => object as AnyObject)));
}

/** One of each kind, namespace and name: the last. */
export function merge(objects: readonly AnyObject[]): AnyObject[] {
  return [...new Map(objects.map((object) => [identity(object), object])).values()];
}

/** Versions of one group are the same object. Without a namespace it is `default`, which does no harm to what has none. */
const identity = ({ apiVersion = '', kind, metadata }: AnyObject): string =>
  `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''} ${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`;

async function listAll(api: Api): Promise<AnyObject[]> {
  const always = [Namespaces, Nodes, Pods, Services, EndpointSlices, NetworkPolicies] as readonly Resource<KubeObject>[];
  const lists = await Promise.all([
    ...always.map((resource) => list(api, resource)),
    ...clusterPolicyResources.map((resource) =>
      list(api, resource).catch((error: unknown) => {
        if (isNotFound(error)) return [];
        throw error;
      }),
    ),
  ]);
  return lists.flat();
}

/** Objects that podnet does not know and that may make pods, or would if their kind were written right. One sentence for each kind. */
export function unknownKinds(objects: readonly AnyObject[]): string[] {
  const unknown = objects.filter((object) => mayMakePods(object) && !isPolicyKind(object) && !isKnown(object));
  const byKind = groupBy(unknown, ({ apiVersion, kind }) => `${kind} of ${apiVersion}`);
  return [...byKind].map(
    ([kind, some]) => `${kind} is not known to podnet: ${count(some.length, 'object')} left out (${listed(some.map(({ metadata: { name } }) => name))}), and the pods that they may make`,
  );
}

const isKnown = ({ apiVersion = '', kind = '' }: AnyObject): boolean => modelOf({ apiVersion, kind }) !== undefined;

/** It has a template of pods, or is said to be of Kubernetes' own groups with a name without a dot: `apps/v1 Deploymnt`. */
function mayMakePods({ apiVersion = '', spec }: AnyObject): boolean {
  const { template, jobTemplate } = (spec ?? {}) as { template?: unknown; jobTemplate?: unknown };
  return template !== undefined || jobTemplate !== undefined || !/\..*\//.test(apiVersion);
}

const listed = (names: readonly string[]): string => `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`;

/** Items of a list do not say what they are. */
const list = async (api: Api, resource: Resource<KubeObject>): Promise<AnyObject[]> =>
  (await api.list(resource)).items.map((item) => ({ ...item, apiVersion: apiVersionOf(resource), kind: resource.kind }));

/** What of the policies was not understood, a sentence for each. */
export const warningsOf = ({ world, notes }: Inventory): string[] => [
  ...notes,
  ...(world.resolved.size === 0 ? namesOf(world) : []),
  ...world.policies.flatMap((policy) =>
    policy.problems.map(({ at, what, effect }) => `${policyName(policy)}, ${at}: ${what}; ${effect}`),
  ),
];

/** What names of the outside mean is known only where somebody resolves them. */
const namesOf = ({ policies }: Inventory['world']): string[] =>
  policies
    .filter(({ rules }) => rules.egress?.some(({ peers }) => peers?.some(({ kind }) => kind === 'domains')))
    .map(
      (policy) =>
        `${policyName(policy)} has domainNames: which addresses they mean is not known here, so those peers match nothing`,
    );
