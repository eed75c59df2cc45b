import { type Api, ApiError, type KubeObject, type Resource } from '../../kube/api.ts';
import { Informer, type InformerOptions } from '../../kube/informer.ts';

export interface OptionalSourceOptions<O extends KubeObject, T> extends Pick<InformerOptions<O, T>, 'project' | 'backoffMs' | 'confirmEmptyMs'> {
  /** HTTP status codes by which a server says that it has none of it: 404, and 403 where what one may not see does not count. */
  absentCodes: readonly number[];
  onError: (error: Error) => void;
}

/**
 * Objects of a kind that a server may not have: then there are none, and nobody waits for them. It is asked again each half minute, so that what comes to be
 * there is heard of. With `confirmEmptyMs` a server that had it and has it no more is believed when it says so again.
 */
export class OptionalSource<O extends KubeObject, T = O> {
  readonly informer: Informer<O, T>;
  /** Fulfilled when all of them are known, or there are none. */
  readonly known: Promise<void>;
  #isAbsent = false;

  constructor(api: Api, resource: Resource<O>, { absentCodes, onError, ...options }: OptionalSourceOptions<O, T>) {
    let absent = (): void => {};
    const noneHere = new Promise<void>((resolve) => (absent = resolve));
    this.informer = new Informer(api, resource, {
      ...options,
      absentCodes,
      onError: (error) => {
        const again = this.#isAbsent;
        this.#isAbsent = error instanceof ApiError && absentCodes.includes(error.code) && !this.informer.isSynced;
        if (this.#isAbsent) absent();
        if (!this.#isAbsent || !again) onError(error);
      },
    });
    this.known = Promise.race([this.informer.synced, noneHere]);
  }

  /** There are none, as far as anybody knows. */
  get isAbsent(): boolean {
    return this.#isAbsent && !this.informer.isSynced;
  }
}
