import { jsonEqual } from '../../kube/objects.ts';
import { ServiceCIDRs } from '../../kube/resources.ts';
import type { IPAddress, ServiceCIDR } from '../../kube/types.ts';
import { stored } from '../object.ts';
import { defaultServiceCidr, serverServiceCidr } from '../registry/service-ips.ts';
import { strategy } from '../registry/strategy.ts';
import { validateCidr } from '../validation/ip.ts';

/** Shorter ones have more addresses than are told apart. */
const shortestIpv6 = 64;

/** networking.k8s.io ServiceCIDR (IP1), with the words of pkg/apis/networking/validation. */
export const serviceCidrs = strategy<ServiceCIDR>({
  generation: true,
  initialStatus: {},
  validate({ spec }, errors) {
    const cidrs = spec?.cidrs ?? [];
    if (cidrs.length === 0) errors.required('spec.cidrs', 'at least one CIDR required');
    if (cidrs.length > 2) errors.invalid('spec', spec, 'may only hold up to 2 values');
    const prefixes = cidrs.map((cidr, at) => validateCidr(cidr, `spec.cidrs[${at}]`, errors));
    if (cidrs.length === 2 && prefixes[0] && prefixes[0].family === prefixes[1]?.family)
      errors.invalid(
        'spec.cidrs',
        cidrs,
        'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
      );
    prefixes.forEach((prefix, at) => {
      if (prefix?.family === 'ipv6' && prefix.length < shortestIpv6)
        errors.invalid(`spec.cidrs[${at}]`, cidrs[at], 'must be an IPv6 prefix length of 64 or more');
      // Host routes have no address that is not the network's own or the broadcast's.
      if (prefix && prefix.size < (prefix.family === 'ipv4' ? 4n : 2n))
        errors.invalid(`spec.cidrs[${at}]`, cidrs[at], 'must have room for an address');
    });
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (!jsonEqual(spec?.cidrs, old?.cidrs)) errors.invalid('spec.cidrs', spec?.cidrs ?? null, 'field is immutable');
  },
  /** The server's own is what its configuration says, and comes back. */
  removed({ metadata }, { store, services, now }) {
    if (metadata.name === defaultServiceCidr) store.put(ServiceCIDRs, stored(serverServiceCidr(services.cidrs, now())));
  },
});

/** networking.k8s.io IPAddress (IP2): its name is the address, so that nobody has one twice. */
export const ipAddresses = strategy<IPAddress>({
  generation: true,
  validate({ spec }, errors) {
    const ref = spec?.parentRef;
    if (!ref) errors.required('spec.parentRef');
    else {
      if (!ref.resource) errors.required('spec.parentRef.resource');
      if (!ref.name) errors.required('spec.parentRef.name');
    }
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (!jsonEqual(spec?.parentRef, old?.parentRef))
      errors.invalid('spec.parentRef', spec?.parentRef ?? null, 'field is immutable');
  },
});
