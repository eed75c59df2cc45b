import type {
  EndpointSlice,
  Endpoints,
  Ingress,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  PodDisruptionBudget,
} from '../../kube/types.ts';
import { strategy } from '../registry/strategy.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateCidr, validateIp, validateNonSpecialIp } from '../validation/ip.ts';
import { validateSelector } from '../validation/metadata.ts';
import { isDns1123Label, isDns1123Subdomain, isPort, isPortName, isWildcardDns1123Subdomain } from '../validation/names.ts';

export const networkPolicies = strategy<NetworkPolicy>({
  generation: true,
  defaults({ spec }) {
    if (!spec) return;
    spec.podSelector ??= {};
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
  },
  validate({ spec }, errors) {
    validateSelector(spec?.podSelector, 'spec.podSelector', errors);
    spec?.ingress?.forEach(({ ports, from }, at) => {
      const path = `spec.ingress[${at}]`;
      ports?.forEach((port, index) => void validatePolicyPort(port, `${path}.ports[${index}]`, errors));
      from?.forEach((peer, index) => void validatePeer(peer, `${path}.from[${index}]`, errors));
    });
    spec?.egress?.forEach(({ ports, to }, at) => {
      const path = `spec.egress[${at}]`;
      ports?.forEach((port, index) => void validatePolicyPort(port, `${path}.ports[${index}]`, errors));
      to?.forEach((peer, index) => void validatePeer(peer, `${path}.to[${index}]`, errors));
    });
    if ((spec?.policyTypes?.length ?? 0) > 2)
      errors.invalid('spec.policyTypes', spec?.policyTypes, 'may not specify more than two policyTypes');
    else
      spec?.policyTypes?.forEach((type, at) => {
        if (type !== 'Ingress' && type !== 'Egress') errors.notSupported(`spec.policyTypes[${at}]`, type, ['Egress', 'Ingress']);
      });
  },
});

function validatePolicyPort({ protocol, port, endPort }: NetworkPolicyPort, path: string, errors: FieldErrors): void {
  if (protocol && !['TCP', 'UDP', 'SCTP'].includes(protocol))
    errors.notSupported(`${path}.protocol`, protocol, ['SCTP', 'TCP', 'UDP']);
  if (typeof port === 'number') {
    for (const fault of isPort(port)) errors.invalid(`${path}.port`, port, fault);
    if (endPort !== undefined && endPort < port)
      errors.invalid(`${path}.endPort`, port, 'must be greater than or equal to `port`');
    if (endPort !== undefined) for (const fault of isPort(endPort)) errors.invalid(`${path}.endPort`, endPort, fault);
  } else {
    if (port !== undefined) for (const fault of isPortName(port)) errors.invalid(`${path}.port`, port, fault);
    if (endPort !== undefined)
      errors.invalid(
        `${path}.endPort`,
        endPort,
        port === undefined
          ? 'may not be specified when `port` is not specified'
          : 'may not be specified when `port` is non-numeric',
      );
  }
}

function validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, path: string, errors: FieldErrors): void {
  validateSelector(podSelector, `${path}.podSelector`, errors);
  validateSelector(namespaceSelector, `${path}.namespaceSelector`, errors);
  if (!ipBlock) {
    if (!podSelector && !namespaceSelector) errors.required(path, 'must specify a peer');
    return;
  }
  if (podSelector || namespaceSelector) errors.forbidden(path, 'may not specify both ipBlock and another peer');
  if (!ipBlock.cidr) errors.required(`${path}.ipBlock.cidr`);
  const block = ipBlock.cidr ? validateCidr(ipBlock.cidr, `${path}.ipBlock.cidr`, errors) : undefined;
  ipBlock.except?.forEach((text, at) => {
    const here = `${path}.ipBlock.except[${at}]`;
    const except = validateCidr(text, here, errors);
    if (block && except && (!block.contains(except) || except.length <= block.length))
      errors.invalid(here, text, 'must be a strict subset of `cidr`');
  });
}

export const ingresses = strategy<Ingress>({
  generation: true,
  initialStatus: { loadBalancer: {} },
  validate({ spec }, errors) {
    if (!spec?.rules?.length && !spec?.defaultBackend)
      errors.invalid('spec', spec ?? {}, 'either `defaultBackend` or `rules` must be specified');
    spec?.rules?.forEach((rule, at) => {
      const path = `spec.rules[${at}]`;
      if (rule.host) {
        const faults = rule.host.includes('*') ? isWildcardDns1123Subdomain(rule.host) : isDns1123Subdomain(rule.host);
        for (const fault of faults) errors.invalid(`${path}.host`, rule.host, fault);
      }
      if (rule.http && !rule.http.paths?.length) errors.required(`${path}.http.paths`);
      rule.http?.paths?.forEach((one, index) => {
        const here = `${path}.http.paths[${index}]`;
        if (!one.pathType) errors.required(`${here}.pathType`, 'pathType must be specified');
        else if (one.pathType !== 'ImplementationSpecific' && !one.path?.startsWith('/'))
          errors.invalid(`${here}.path`, one.path ?? '', 'must be an absolute path');
        if (!one.backend?.service && !one.backend?.resource) errors.required(`${here}.backend`);
        else if (one.backend.service && !one.backend.service.name) errors.required(`${here}.backend.service.name`);
      });
    });
  },
});

const slicePorts = (ports: EndpointSlice['ports'], errors: FieldErrors): void => {
  const names = new Set<string>();
  ports?.forEach(({ name = '', port, protocol }, at) => {
    if (name) for (const fault of isDns1123Label(name)) errors.invalid(`ports[${at}].name`, name, fault);
    if (names.has(name)) errors.duplicate(`ports[${at}].name`, name);
    names.add(name);
    if (port !== undefined) for (const fault of isPort(port)) errors.invalid(`ports[${at}].port`, port, fault);
    if (protocol && !['TCP', 'UDP', 'SCTP'].includes(protocol))
      errors.notSupported(`ports[${at}].protocol`, protocol, ['SCTP', 'TCP', 'UDP']);
  });
};

function validateEndpointIp(text: string, path: string, errors: FieldErrors): string | undefined {
  const ip = validateIp(text, path, errors);
  if (!ip) return undefined;
  validateNonSpecialIp(ip, text, path, errors);
  return ip.family === 'ipv4' ? 'IPv4' : 'IPv6';
}

export const endpointSlices = strategy<EndpointSlice>({
  generation: true,
  defaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate({ addressType, endpoints, ports }, errors) {
    const types = ['IPv4', 'IPv6', 'FQDN'];
    if (!addressType) errors.required('addressType');
    else if (!types.includes(addressType)) errors.notSupported('addressType', addressType, types);
    if ((endpoints?.length ?? 0) > 1000) errors.tooMany('endpoints', endpoints!.length, 1000);
    endpoints?.forEach(({ addresses }, at) => {
      const path = `endpoints[${at}].addresses`;
      if (!addresses?.length) errors.required(path, 'must contain at least 1 address');
      if ((addresses?.length ?? 0) > 100) errors.tooMany(path, addresses.length, 100);
      addresses?.forEach((address, index) => {
        const here = `${path}[${index}]`;
        if (addressType === 'FQDN') for (const fault of isDns1123Subdomain(address)) errors.invalid(here, address, fault);
        else if (types.includes(addressType)) {
          const family = validateEndpointIp(address, here, errors);
          if (family && family !== addressType) errors.invalid(here, address, `must be an ${addressType} address`);
        }
      });
    });
    if ((ports?.length ?? 0) > 20000) errors.tooMany('ports', ports!.length, 20000);
    slicePorts(ports, errors);
  },
  validateUpdate(slice, old, errors) {
    if (slice.addressType !== old.addressType) errors.invalid('addressType', slice.addressType, 'field is immutable');
  },
});

export const endpoints = strategy<Endpoints>({
  defaults({ subsets }) {
    for (const subset of subsets ?? []) for (const port of subset.ports ?? []) port.protocol ??= 'TCP';
  },
  validate({ subsets }, errors) {
    subsets?.forEach(({ addresses, notReadyAddresses, ports }, at) => {
      const path = `subsets[${at}]`;
      if (!addresses?.length && !notReadyAddresses?.length)
        errors.required(path, 'must specify `addresses` or `notReadyAddresses`');
      addresses?.forEach(({ ip }, index) => void validateEndpointIp(ip, `${path}.addresses[${index}].ip`, errors));
      notReadyAddresses?.forEach(
        ({ ip }, index) => void validateEndpointIp(ip, `${path}.notReadyAddresses[${index}].ip`, errors),
      );
      ports?.forEach(({ name, port }, index) => {
        if (!name && ports.length > 1) errors.required(`${path}.ports[${index}].name`);
        else if (name) for (const fault of isDns1123Label(name)) errors.invalid(`${path}.ports[${index}].name`, name, fault);
        for (const fault of isPort(port)) errors.invalid(`${path}.ports[${index}].port`, port, fault);
      });
    });
  },
});

export const podDisruptionBudgets = strategy<PodDisruptionBudget>({
  generation: true,
  initialStatus: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 },
  validate({ spec }, errors) {
    if (spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined)
      errors.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set');
    validateSelector(spec?.selector, 'spec.selector', errors);
  },
});
