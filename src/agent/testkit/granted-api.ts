import type { PatchType, Resource, WatchEvent, WatchOptions, WriteOptions } from '../../kube/api.ts';
import { type Api, ApiError, type DeleteOptions, type KubeObject, type List, type ListOptions } from '../../kube/api.ts';
import type { PolicyRule, Role, RoleBinding } from '../../kube/types.ts';

/** One right: `patch nodes/status`, `get leases.coordination.k8s.io podnet-policy-status in kube-system`. */
type Right = string;

const rightOf = (verb: string, group: string, resource: string, name?: string, namespace?: string): Right => {
  const [plural, subresource] = resource.split('/');
  const whole = `${group === '' ? plural : `${plural}.${group}`}${subresource ? `/${subresource}` : ''}`;
  return [verb, whole, ...(name === undefined ? [] : [name]), ...(namespace === undefined ? [] : ['in', namespace])].join(' ');
};

/** The API as somebody has it to whom a manifest grants what it grants: all else is forbidden, and what is asked for is remembered. */
export class GrantedApi implements Api {
  readonly granted = new Set<Right>();
  readonly used = new Set<Right>();
  readonly refused = new Set<Right>();
  readonly #api: Api;

  /** @param account name of the ServiceAccount */
  constructor(api: Api, manifest: readonly KubeObject[], account: string) {
    this.#api = api;
    const objects = manifest as readonly (KubeObject & Partial<Role & RoleBinding>)[];
    for (const { roleRef, subjects, metadata } of objects) {
      if (!roleRef || !subjects?.some(({ name }) => name === account)) continue;
      const { namespace } = metadata;
      const role = objects.find(
        ({ kind, metadata: of }) => kind === roleRef.kind && of.name === roleRef.name && of.namespace === namespace,
      );
      for (const rule of role?.rules ?? []) for (const right of rightsOf(rule, namespace)) this.granted.add(right);
    }
  }

  get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return this.#ask(['get'], resource, name, namespace, () => this.#api.get(resource, name, namespace));
  }

  list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<List<T>> {
    return this.#ask(['list'], resource, nameIn(options), options.namespace, () => this.#api.list(resource, options));
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace } = object.metadata;
    return this.#ask(['create'], sub(resource, options), undefined, namespace, () => this.#api.create(resource, object, options));
  }

  update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { name, namespace } = object.metadata;
    return this.#ask(['update'], sub(resource, options), name, namespace, () => this.#api.update(resource, object, options));
  }

  patch<T extends KubeObject>(
    ...[resource, name, namespace, patch, type, options = {}]: [
      ...[resource: Resource<T>, name: string, namespace: string | undefined, patch: unknown, type: PatchType],
      options?: WriteOptions & { force?: boolean },
    ]
  ): Promise<T> {
    const work = (): Promise<T> => this.#api.patch(resource, name, namespace, patch, type, options);
    return this.#ask(['patch'], sub(resource, options), name, namespace, work);
  }

  delete(resource: Resource, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    return this.#ask(['delete'], resource, name, namespace, () => this.#api.delete(resource, name, namespace, options));
  }

  /** Whoever watches lists where a server does not send what there is by the watch. */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void } {
    this.#use(['list', 'watch'], resource, nameIn(options), options.namespace);
    return this.#api.watch(resource, onEvent, options);
  }

  async #ask<T>(
    verbs: readonly string[],
    resource: Pick<Resource, 'group' | 'plural'>,
    name: string | undefined,
    namespace: string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const refused = this.#use(verbs, resource, name, namespace);
    if (refused) throw new ApiError(403, 'Forbidden', `cannot ${refused}`);
    return work();
  }

  /** @returns what is not granted */
  #use(verbs: readonly string[], { group, plural }: Pick<Resource, 'group' | 'plural'>, name?: string, namespace?: string): Right | undefined {
    let refused: Right | undefined;
    for (const verb of verbs) {
      const ways = [[undefined, undefined], [name, undefined], [undefined, namespace], [name, namespace]] as const;
      const rights = ways.map(([ofName, inNamespace]) => rightOf(verb, group, plural, ofName, inNamespace));
      const granted = rights.find((right) => this.granted.has(right));
      if (granted) this.used.add(granted);
      else this.refused.add((refused = rights[3]!));
    }
    return refused;
  }
}

function* rightsOf({ verbs, apiGroups = [], resources = [], resourceNames }: PolicyRule, namespace?: string): Iterable<Right> {
  for (const verb of verbs)
    for (const group of apiGroups)
      for (const resource of resources)
        for (const name of resourceNames ?? [undefined]) yield rightOf(verb, group, resource, name, namespace);
}

/** A rule with a name grants a list or watch that asks for this name alone. */
const nameIn = ({ fieldSelector }: ListOptions): string | undefined => /^metadata\.name=([^,]+)$/.exec(fieldSelector ?? '')?.[1];

const sub = ({ group, plural }: Resource, { subresource }: WriteOptions): Pick<Resource, 'group' | 'plural'> => ({
  group,
  plural: subresource ? `${plural}/${subresource}` : plural,
});
