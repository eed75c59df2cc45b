import type { Container, ContainerPort, EnvVar, PodSpec, Probe, Volume } from '../../kube/types.ts';
import { quantityNano } from '../codec/quantity.ts';
import { isJson, type Json } from '../object.ts';
import type { FieldErrors } from './field-errors.ts';
import { validateIp } from './ip.ts';
import { validateLabels } from './metadata.ts';
import { isDns1123Label, isDns1123Subdomain, isEnvVarName, isPort, isPortName, isQualifiedName } from './names.ts';

const nonNegative = 'must be greater than or equal to 0';

/** @param restartPolicies allowed ones; a Deployment's pods must always restart */
export function validatePodSpec(
  spec: PodSpec | undefined,
  path: string,
  errors: FieldErrors,
  restartPolicies?: readonly string[],
): void {
  if (!spec) {
    errors.required(`${path}.containers`);
    return;
  }
  const volumes = validateVolumes(spec.volumes ?? [], `${path}.volumes`, errors);
  const names = new Set<string>();
  if (!spec.containers?.length) errors.required(`${path}.containers`);
  for (const [list, containers] of [
    ['containers', spec.containers],
    ['initContainers', spec.initContainers],
    ['ephemeralContainers', spec.ephemeralContainers],
  ] as const)
    containers?.forEach((container, at) => {
      const here = `${path}.${list}[${at}]`;
      validateContainer(container as Container, here, volumes, errors, list);
      if (container.name && names.has(container.name)) errors.duplicate(`${here}.name`, container.name);
      names.add(container.name);
    });
  validateHostPorts(spec, path, errors);
  const allowed = restartPolicies ?? ['Always', 'OnFailure', 'Never'];
  if (spec.restartPolicy && !allowed.includes(spec.restartPolicy))
    errors.notSupported(`${path}.restartPolicy`, spec.restartPolicy, allowed);
  validateLabels(spec.nodeSelector, `${path}.nodeSelector`, errors);
  if (spec.nodeName)
    for (const fault of isDns1123Subdomain(spec.nodeName)) errors.invalid(`${path}.nodeName`, spec.nodeName, fault);
  if (spec.serviceAccountName)
    for (const fault of isDns1123Subdomain(spec.serviceAccountName))
      errors.invalid(`${path}.serviceAccountName`, spec.serviceAccountName, fault);
  if (spec.hostname) for (const fault of isDns1123Label(spec.hostname)) errors.invalid(`${path}.hostname`, spec.hostname, fault);
  if (spec.subdomain)
    for (const fault of isDns1123Label(spec.subdomain)) errors.invalid(`${path}.subdomain`, spec.subdomain, fault);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0)
    errors.invalid(`${path}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds, nonNegative);
  if (spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds < 1)
    errors.invalid(`${path}.activeDeadlineSeconds`, spec.activeDeadlineSeconds, 'must be between 1 and 2147483647, inclusive');
  spec.hostAliases?.forEach(({ ip, hostnames }, at) => {
    validateIp(ip ?? '', `${path}.hostAliases[${at}].ip`, errors);
    hostnames?.forEach((host, index) => {
      for (const fault of isDns1123Subdomain(host)) errors.invalid(`${path}.hostAliases[${at}].hostnames[${index}]`, host, fault);
    });
  });
  validateDns(spec, path, errors);
  spec.tolerations?.forEach(({ key, operator, value, effect }, at) => {
    const here = `${path}.tolerations[${at}]`;
    if (key) for (const fault of isQualifiedName(key)) errors.invalid(`${here}.key`, key, fault);
    else if (operator !== 'Exists')
      errors.invalid(
        `${here}.operator`,
        operator ?? '',
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    if (operator === 'Exists' && value)
      errors.invalid(`${here}.operator`, { key, operator, value, effect }, "value must be empty when `operator` is 'Exists'");
  });
  spec.topologySpreadConstraints?.forEach((constraint, at) => {
    const here = `${path}.topologySpreadConstraints[${at}]`;
    if (!(constraint.maxSkew > 0)) errors.invalid(`${here}.maxSkew`, constraint.maxSkew ?? 0, 'must be greater than zero');
    if (!constraint.topologyKey) errors.required(`${here}.topologyKey`, 'can not be empty');
  });
}

function validateDns(spec: PodSpec, path: string, errors: FieldErrors): void {
  const { dnsPolicy, dnsConfig } = spec;
  if (dnsPolicy === 'None' && !dnsConfig?.nameservers?.length)
    errors.required(`${path}.dnsConfig.nameservers`, `must provide at least one DNS nameserver when \`dnsPolicy\` is None`);
  if ((dnsConfig?.nameservers?.length ?? 0) > 3)
    errors.invalid(`${path}.dnsConfig.nameservers`, dnsConfig?.nameservers, 'must not have more than 3 nameservers');
  dnsConfig?.nameservers?.forEach((server, at) => void validateIp(server, `${path}.dnsConfig.nameservers[${at}]`, errors));
  if ((dnsConfig?.searches?.length ?? 0) > 32)
    errors.invalid(`${path}.dnsConfig.searches`, dnsConfig?.searches, 'must not have more than 32 search paths');
  dnsConfig?.options?.forEach(({ name }, at) => {
    if (!name) errors.required(`${path}.dnsConfig.options[${at}]`, 'must not be empty');
  });
}

function validateVolumes(volumes: readonly Volume[], path: string, errors: FieldErrors): Set<string> {
  const names = new Set<string>();
  volumes.forEach((volume, at) => {
    const here = `${path}[${at}]`;
    if (!volume.name) errors.required(`${here}.name`);
    else for (const fault of isDns1123Label(volume.name)) errors.invalid(`${here}.name`, volume.name, fault);
    if (names.has(volume.name)) errors.duplicate(`${here}.name`, volume.name);
    names.add(volume.name);
    const sources = Object.keys(volume).filter((name) => name !== 'name');
    if (sources.length === 0) errors.required(here, 'must specify a volume type');
    for (const extra of sources.slice(1)) errors.forbidden(`${here}.${extra}`, 'may not specify more than 1 volume type');
  });
  return names;
}

function validateContainer(
  container: Container,
  path: string,
  volumes: ReadonlySet<string>,
  errors: FieldErrors,
  list: string,
): void {
  if (!container.name) errors.required(`${path}.name`);
  else for (const fault of isDns1123Label(container.name)) errors.invalid(`${path}.name`, container.name, fault);
  if (!container.image) errors.required(`${path}.image`);
  else if (container.image.trim() !== container.image)
    errors.invalid(`${path}.image`, container.image, 'must not have leading or trailing whitespace');
  validatePorts(container.ports ?? [], `${path}.ports`, errors);
  validateEnv(container.env ?? [], `${path}.env`, errors);
  const mounted = new Set<string>();
  container.volumeMounts?.forEach(({ name, mountPath }, at) => {
    const here = `${path}.volumeMounts[${at}]`;
    if (!name) errors.required(`${here}.name`);
    else if (!volumes.has(name)) errors.notFound(`${here}.name`, name);
    if (!mountPath) errors.required(`${here}.mountPath`);
    else if (mounted.has(mountPath)) errors.invalid(`${here}.mountPath`, mountPath, 'must be unique');
    mounted.add(mountPath);
  });
  validateResources(container, `${path}.resources`, errors);
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (!probe) continue;
    if (list === 'ephemeralContainers' || (list === 'initContainers' && container.restartPolicy !== 'Always'))
      errors.forbidden(
        `${path}.${name}`,
        list === 'initContainers'
          ? 'may not be set for init containers without restartPolicy=Always'
          : 'cannot be set for an Ephemeral Container',
      );
    else validateProbe(probe, `${path}.${name}`, errors, name !== 'readinessProbe');
  }
}

function validateResources({ resources }: Container, path: string, errors: FieldErrors): void {
  for (const part of ['limits', 'requests'] as const)
    for (const [name, value] of Object.entries(resources?.[part] ?? {})) {
      const amount = quantityNano(value);
      if (amount !== undefined && amount < 0n) errors.invalid(`${path}.${part}[${name}]`, value, nonNegative);
    }
  for (const [name, request] of Object.entries(resources?.requests ?? {})) {
    const limit = resources?.limits?.[name];
    if (limit !== undefined && (quantityNano(request) ?? 0n) > (quantityNano(limit) ?? 0n))
      errors.invalid(`${path}.requests`, request, `must be less than or equal to ${name} limit of ${limit}`);
  }
}

const protocols = ['TCP', 'UDP', 'SCTP'];

function validatePorts(ports: readonly ContainerPort[], path: string, errors: FieldErrors): void {
  const names = new Set<string>();
  ports.forEach((port, at) => {
    const here = `${path}[${at}]`;
    if (port.name) {
      for (const fault of isPortName(port.name)) errors.invalid(`${here}.name`, port.name, fault);
      if (names.has(port.name)) errors.duplicate(`${here}.name`, port.name);
      names.add(port.name);
    }
    if (!port.containerPort) errors.required(`${here}.containerPort`);
    else for (const fault of isPort(port.containerPort)) errors.invalid(`${here}.containerPort`, port.containerPort, fault);
    if (port.hostPort) for (const fault of isPort(port.hostPort)) errors.invalid(`${here}.hostPort`, port.hostPort, fault);
    if (port.protocol && !protocols.includes(port.protocol)) errors.notSupported(`${here}.protocol`, port.protocol, protocols);
    if (port.hostIP) validateIp(port.hostIP, `${here}.hostIP`, errors);
  });
}

function validateHostPorts(spec: PodSpec, path: string, errors: FieldErrors): void {
  const used = new Set<string>();
  spec.containers?.forEach(({ ports }, c) => {
    ports?.forEach(({ hostPort, hostIP = '', protocol, containerPort }, at) => {
      const here = `${path}.containers[${c}].ports[${at}]`;
      if (!hostPort) return;
      if (spec.hostNetwork && hostPort !== containerPort)
        errors.invalid(`${here}.hostPort`, hostPort, 'must match `containerPort` when `hostNetwork` is true');
      const text = `${protocol}/${hostIP}/${hostPort}`;
      if (used.has(text)) errors.duplicate(`${here}.hostPort`, text);
      used.add(text);
    });
  });
}

function validateEnv(env: readonly EnvVar[], path: string, errors: FieldErrors): void {
  env.forEach((variable, at) => {
    const here = `${path}[${at}]`;
    if (!variable.name) errors.required(`${here}.name`);
    else for (const fault of isEnvVarName(variable.name)) errors.invalid(`${here}.name`, variable.name, fault);
    const { valueFrom } = variable;
    if (!valueFrom) return;
    const sources = Object.keys(valueFrom);
    if (sources.length === 0)
      errors.invalid(
        `${here}.valueFrom`,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
      );
    else if (variable.value) errors.invalid(`${here}.valueFrom`, '', 'may not be specified when `value` is not empty');
    else if (sources.length > 1) errors.invalid(`${here}.valueFrom`, '', 'may not have more than one field specified at a time');
    if (valueFrom.fieldRef && !isDownwardField(valueFrom.fieldRef.fieldPath ?? ''))
      errors.notSupported(`${here}.valueFrom.fieldRef.fieldPath`, valueFrom.fieldRef.fieldPath, downwardFields);
  });
}

const downwardFields = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
const isDownwardField = (path: string): boolean =>
  downwardFields.includes(path) || /^metadata\.(annotations|labels)\['.+'\]$/.test(path);

function validateProbe(probe: Probe, path: string, errors: FieldErrors, once: boolean): void {
  const handlers = (['exec', 'httpGet', 'tcpSocket', 'grpc'] as const).filter((name) => probe[name] !== undefined);
  if (handlers.length === 0) errors.required(path, 'must specify a handler type');
  for (const extra of handlers.slice(1)) errors.forbidden(`${path}.${extra}`, 'may not specify more than 1 handler type');
  for (const name of ['httpGet', 'tcpSocket', 'grpc'] as const) {
    const port = (probe[name] as Json | undefined)?.port;
    if (probe[name] === undefined) continue;
    if (typeof port === 'number' || port === undefined)
      for (const fault of isPort(Number(port ?? 0))) errors.invalid(`${path}.${name}.port`, port ?? 0, fault);
    else for (const fault of isPortName(String(port))) errors.invalid(`${path}.${name}.port`, port, fault);
  }
  if (probe.httpGet && isJson(probe.httpGet) && !probe.httpGet.path) errors.required(`${path}.httpGet.path`);
  if (probe.exec && !probe.exec.command?.length) errors.required(`${path}.exec.command`);
  for (const name of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const)
    if ((probe[name] ?? 0) < 0) errors.invalid(`${path}.${name}`, probe[name], nonNegative);
  if (once && probe.successThreshold !== undefined && probe.successThreshold !== 1)
    errors.invalid(`${path}.successThreshold`, probe.successThreshold, 'must be 1');
}
