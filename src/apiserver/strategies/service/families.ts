import { jsonEqual } from '../../../kube/objects.ts';
import type { ServiceSpec } from '../../../kube/types.ts';
import { IpAddr } from '../../../net/ip.ts';
import { familyOf, type IpFamily, type ServiceAllocators } from '../../registry/service-allocators.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';
import { isHeadless, needsClusterIp } from './fields.ts';

const notDual = 'this cluster is not configured for dual-stack services';

const otherFamily = (family: IpFamily): IpFamily => (family === 'IPv4' ? 'IPv6' : 'IPv4');

/** SA6: gives a Service its `ipFamilies` and `ipFamilyPolicy`, from what it says of either and of addresses. */
export function settleFamilies(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  cluster: ServiceAllocators,
  errors: FieldErrors,
): void {
  if (!needsClusterIp(spec)) return;
  if (old && needsClusterIp(old)) follow(spec, old);
  const headless = isHeadless(spec);
  const families = (spec.ipFamilies ?? []) as IpFamily[];
  if (!headless)
    (spec.clusterIPs ?? []).forEach((text, at) => {
      const ip = IpAddr.tryParse(text);
      if (!ip) return;
      const family = familyOf(ip);
      if (families[at] === undefined && families.length === at) families.push(family);
      else if (families[at] !== family)
        errors.invalid(`spec.clusterIPs[${at}]`, text, `expected an ${families[at]} value as indicated by \`ipFamilies[${at}]\``);
    });
  spec.ipFamilies = families;
  if (families.length === 0) families.push(cluster.families[0]!);

  if (headless && Object.keys(spec.selector ?? {}).length === 0) {
    // Whoever writes the endpoints decides their family: both are allowed even where the cluster has one.
    spec.ipFamilyPolicy ??= 'RequireDualStack';
    if (spec.ipFamilyPolicy !== 'SingleStack' && families.length < 2) families.push(otherFamily(families[0]!));
    return;
  }
  spec.ipFamilyPolicy ??= families.length === 2 || (spec.clusterIPs?.length ?? 0) === 2 ? 'RequireDualStack' : 'SingleStack';
  if (spec.ipFamilyPolicy === 'SingleStack') {
    if (families.length > 1)
      errors.invalid(
        'spec.ipFamilyPolicy',
        spec.ipFamilyPolicy,
        "must be 'RequireDualStack' or 'PreferDualStack' when multiple 'ipFamilies' are specified",
      );
    else if ((spec.clusterIPs?.length ?? 0) > 1)
      errors.invalid(
        'spec.ipFamilyPolicy',
        spec.ipFamilyPolicy,
        "must be 'RequireDualStack' or 'PreferDualStack' when multiple 'clusterIPs' are specified",
      );
  }
  families.forEach((family, at) => {
    if (!cluster.families.includes(family) && (family === 'IPv4' || family === 'IPv6'))
      errors.invalid(`spec.ipFamilies[${at}]`, family, 'not configured on this cluster');
  });
  if (spec.ipFamilyPolicy === 'RequireDualStack' && !cluster.isDual)
    errors.invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, notDual);
  if (spec.ipFamilyPolicy !== 'SingleStack' && cluster.isDual && families.length < 2) families.push(otherFamily(families[0]!));
}

/** An update that only changes the policy takes the second family and address along. */
function follow(spec: ServiceSpec, old: ServiceSpec): void {
  spec.ipFamilyPolicy ??= old.ipFamilyPolicy;
  if (!spec.ipFamilies?.length && old.ipFamilies && isHeadless(spec) === isHeadless(old)) spec.ipFamilies = [...old.ipFamilies];
  if (spec.ipFamilyPolicy !== 'SingleStack' || old.ipFamilyPolicy === 'SingleStack') return;
  if (jsonEqual(spec.clusterIPs, old.clusterIPs)) spec.clusterIPs = spec.clusterIPs?.slice(0, 1);
  if (jsonEqual(spec.ipFamilies, old.ipFamilies)) spec.ipFamilies = spec.ipFamilies?.slice(0, 1);
}
