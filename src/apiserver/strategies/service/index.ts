import type { Service } from '../../../kube/types.ts';
import { strategy } from '../../registry/strategy.ts';
import { allocate, releaseAll } from './allocate.ts';
import { settleFamilies } from './families.ts';
import { defaultService, dropTypeDependent, keepAllocated, normalizeClusterIps } from './fields.ts';
import { validateLoadBalancerStatus, validateService, validateServiceUpdate } from './validate.ts';

export const services = strategy<Service>({
  initialStatus: { loadBalancer: {} },
  defaults: defaultService,
  prepareCreate({ spec }) {
    if (spec) normalizeClusterIps(spec, undefined);
  },
  prepareUpdate(service, { spec: old }) {
    const { spec } = service;
    if (!spec || !old) return;
    // SA11: what a load balancer was given is no address of another type.
    if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') service.status = { ...service.status, loadBalancer: {} };
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
  validateStatus(service, _old, errors) {
    validateLoadBalancerStatus(service, errors);
  },
  warnings({ spec }) {
    const found: string[] = [];
    // SA17
    if (spec?.externalIPs?.length)
      found.push(
        'spec.externalIPs is deprecated and will be removed in a future release; podnet serves only those that its agents are told to allow, by default none',
      );
    if (spec?.loadBalancerIP) found.push('spec.loadBalancerIP is deprecated');
    return found;
  },
  allocate(service, old, errors, transaction, around) {
    if (!service.spec) return;
    settleFamilies(service.spec, old?.spec, around.services, errors);
    if (!errors.any) allocate(service, old, errors, transaction, around);
  },
  removed: releaseAll,
});
