import { bandwidthOfAnnotations } from '../../cni/bandwidth.ts';
import type { Pod } from '../../kube/types.ts';

/** As the capability `bandwidth` has it (CNI conventions): bits a second, and bits. */
export interface PodBandwidth {
  ingressRate?: number;
  ingressBurst?: number;
  egressRate?: number;
  egressBurst?: number;
}

/** What containerd writes for bursts, which no annotation tells. */
const noBurst = 2 ** 32 - 1;

/** The pod's limits, as containerd reads them from its annotations. @throws Error for annotations that are none */
export function bandwidthOf({ metadata }: Pod): PodBandwidth | undefined {
  const limits = bandwidthOfAnnotations(metadata?.annotations ?? {});
  if (!limits) return undefined;
  const { ingress, egress } = limits;
  return {
    ...(ingress ? { ingressRate: ingress.rate, ingressBurst: noBurst } : {}),
    ...(egress ? { egressRate: egress.rate, egressBurst: noBurst } : {}),
  };
}
