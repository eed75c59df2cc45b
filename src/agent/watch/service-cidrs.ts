import type { Api } from '../../kube/api.ts';
import { ServiceCIDRs } from '../../kube/resources.ts';
import type { ServiceCIDR } from '../../kube/types.ts';
import { Prefix } from '../../net/prefix.ts';
import { OptionalSource } from './optional-source.ts';

/**
 * ServiceCIDR objects (IP4, SD12). A cluster without them, or that keeps them to itself, has the Service CIDRs of the configuration alone; where they
 * come to be, they are heard of.
 */
export class ServiceCidrSource extends OptionalSource<ServiceCIDR, Prefix[]> {
  constructor(api: Api, onError: (error: Error) => void) {
    super(api, ServiceCIDRs, {
      project: ({ spec }) => (spec?.cidrs ?? []).flatMap((text) => parsed(text) ?? []),
      // Not there before Kubernetes 1.33, or not for us to see.
      absentCodes: [404, 403],
      onError,
    });
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
