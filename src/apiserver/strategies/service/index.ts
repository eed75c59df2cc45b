import type { Service } from '../../../kube/types.ts';
import { strategy } from '../../registry/strategy.ts';
import { allocate, releaseAll } from './allocate.ts';
import { settleFamilies } from './families.ts';
import { defaultService, dropTypeDependent, keepAllocated, normalizeClusterIps } from './fields.ts';
import { validateService, validateServiceUpdate } from './validate.ts';

export const services = strategy<Service>({
  initialStatus: { loadBalancer: {} },
  defaults: defaultService,
  prepareCreate({ spec }) {
    if (spec) normalizeClusterIps(spec, undefined);
  },
  prepareUpdate({ spec }, { spec: old }) {
    if (!spec || !old) return;
    normalizeClusterIps(spec, old);
    keepAllocated(spec, old);
    dropTypeDependent(spec, old);
  },
  validate(service, errors) {
    validateService(service, errors);
  },
  validateUpdate(service, old, errors) {
    validateServiceUpdate(service, old, errors);
  },
  warnings({ spec }) {
    const found: string[] = [];
    // SA17
    if (spec?.externalIPs?.length)
      found.push('spec.externalIPs is deprecated and will be removed in a future release; podnet does not route these addresses');
    if (spec?.loadBalancerIP) found.push('spec.loadBalancerIP is deprecated');
    found.push(...notYet(spec));
    return found;
  },
  allocate(service, old, errors, transaction, around) {
    if (!service.spec) return;
    settleFamilies(service.spec, old?.spec, around.services, errors);
    if (!errors.any) allocate(service, old, errors, transaction, around);
  },
  removed: releaseAll,
});

/** What is stored and not done, so that nobody takes what he sees for its effect. */
function notYet(spec: Service['spec']): string[] {
  const found: string[] = [];
  if (spec?.type === 'LoadBalancer') found.push('podnet gives no load balancer addresses yet; node ports work');
  if (spec?.sessionAffinity === 'ClientIP') found.push('podnet does not keep sessionAffinity ClientIP yet: each connection goes to any endpoint');
  if (spec?.ports?.some(({ protocol }) => protocol === 'SCTP')) found.push('podnet does not serve SCTP ports yet');
  return found;
}
