import { randomUUID } from 'node:crypto';
import { conditionOf, kubeTime } from '../../kube/objects.ts';
import { IPAddresses, ServiceCIDRs } from '../../kube/resources.ts';
import type { ServiceCIDR } from '../../kube/types.ts';
import type { Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { as } from '../object.ts';
import type { Store } from '../store/store.ts';
import { AllocationError } from './allocation-error.ts';
import { freeAddress, isUsable } from './ip-allocator.ts';

/** The ServiceCIDR of the server's own configuration. */
export const defaultServiceCidr = 'kubernetes';

/**
 * The addresses of Services, by what the API itself says (IP1, IP2): those of every ServiceCIDR that is Ready and not being deleted are there to be given,
 * and those with an IPAddress object are taken, whoever made it. Nothing is remembered beside the objects.
 */
export class ServiceIps {
  readonly #store: Store;
  readonly #random: () => number;

  constructor(store: Store, random: () => number = Math.random) {
    this.#store = store;
    this.#random = random;
  }

  /** What is given out now: the server's own first, then by name. */
  ranges(family: Family): Prefix[] {
    return [...this.#store.all(ServiceCIDRs)]
      .map(({ object }) => as<ServiceCIDR>(object))
      .filter(
        ({ metadata, status }) => !metadata.deletionTimestamp && conditionOf(status?.conditions, 'Ready')?.status === 'True',
      )
      .sort((a, b) => rank(a) - rank(b))
      .flatMap(({ spec }) => (spec?.cidrs ?? []).map((text) => Prefix.parse(text)))
      .filter((prefix) => prefix.family === family);
  }

  /** @throws AllocationError when it is in no range, or taken */
  check(ip: IpAddr): void {
    const ranges = this.ranges(ip.family);
    if (!ranges.some((prefix) => isUsable(ip, prefix)))
      throw new AllocationError(
        `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${ranges.join(', ') || 'empty'}`,
      );
    if (this.isTaken(ip)) throw new AllocationError('provided IP is already allocated');
  }

  /** @throws AllocationError when all are taken */
  next(family: Family): IpAddr {
    for (const prefix of this.ranges(family)) {
      const ip = freeAddress(prefix, (one) => this.isTaken(one), this.#random);
      if (ip) return ip;
    }
    throw new AllocationError('range is full');
  }

  isTaken(ip: IpAddr): boolean {
    return this.#store.get(IPAddresses, undefined, ip.toString()) !== undefined;
  }
}

const rank = ({ metadata }: ServiceCIDR): number => (metadata.name === defaultServiceCidr ? 0 : 1);

/** networking.k8s.io ServiceCIDR (IP1): says in the API what the server was configured with. */
export const serverServiceCidr = (cidrs: readonly Prefix[], nowMs: number): ServiceCIDR => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name: defaultServiceCidr, uid: randomUUID(), creationTimestamp: kubeTime(nowMs), generation: 1 },
  spec: { cidrs: cidrs.map(String) },
  status: {
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        lastTransitionTime: kubeTime(nowMs),
        reason: '',
        message: 'Kubernetes Service CIDR is ready',
      },
    ],
  },
});
