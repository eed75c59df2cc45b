import { type Api, ApiError } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { ServiceCIDRs } from '../kube/resources.ts';
import type { ServiceCIDR } from '../kube/types.ts';
import { Prefix } from '../net/prefix.ts';

/** Not there before Kubernetes 1.33, or not for us to see. */
const isAbsent = (error: Error): boolean => error instanceof ApiError && (error.code === 404 || error.code === 403);

/**
 * ServiceCIDR objects (IP4, SD12). A cluster without them, or that keeps them to itself, has the Service CIDRs of the configuration alone; where they
 * come to be, they are heard of.
 */
export class ServiceCidrSource {
  readonly informer: Informer<ServiceCIDR, Prefix[]>;
  /** Fulfilled when all of them are known, or there are none. */
  readonly known: Promise<void>;
  #isAbsent = false;

  constructor(api: Api, onError: (error: Error) => void) {
    let absent = (): void => {};
    const noneHere = new Promise<void>((resolve) => (absent = resolve));
    this.informer = new Informer(api, ServiceCIDRs, {
      project: ({ spec }) => (spec?.cidrs ?? []).flatMap((text) => parsed(text) ?? []),
      onError: (error) => {
        const again = this.#isAbsent;
        this.#isAbsent = isAbsent(error) && !this.informer.isSynced;
        if (this.#isAbsent) absent();
        if (!this.#isAbsent || !again) onError(error);
      },
    });
    this.known = Promise.race([this.informer.synced.then(() => {}), noneHere]);
  }

  /** There are none, as far as anybody knows. */
  get isAbsent(): boolean {
    return this.#isAbsent && !this.informer.isSynced;
  }

  /** With those of the configuration, which hold whatever the objects say. */
  with(configured: readonly Prefix[]): Prefix[] {
    const all = [...configured, ...this.informer.list().flat()];
    return [...new Map(all.map((cidr) => [`${cidr}`, cidr])).values()];
  }
}

function parsed(text: string): Prefix | undefined {
  try {
    return Prefix.parse(text);
  } catch {
    return undefined;
  }
}
