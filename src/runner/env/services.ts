import type { Service } from '../../kube/types.ts';

const upper = (name: string): string => name.toUpperCase().replaceAll('-', '_');
const hostPort = (ip: string, port: number): string => `${ip.includes(':') ? `[${ip}]` : ip}:${port}`;

/** The variables of one Service with a cluster IP, as kubelet writes them: SVC_SERVICE_HOST and the links of old Docker. */
function variablesOf(service: Service): Record<string, string> {
  const ip = service.spec?.clusterIP ?? '';
  const ports = service.spec?.ports ?? [];
  const name = upper(service.metadata.name);
  const first = ports[0];
  if (!first) return {};
  const variables: Record<string, string> = {
    [`${name}_SERVICE_HOST`]: ip,
    [`${name}_SERVICE_PORT`]: String(first.port),
  };
  for (const port of ports) if (port.name) variables[`${name}_SERVICE_PORT_${upper(port.name)}`] = String(port.port);
  for (const [index, port] of ports.entries()) {
    const protocol = port.protocol ?? 'TCP';
    const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`;
    const url = `${protocol.toLowerCase()}://${hostPort(ip, port.port)}`;
    if (index === 0) variables[`${name}_PORT`] = url;
    variables[prefix] = url;
    variables[`${prefix}_PROTO`] = protocol.toLowerCase();
    variables[`${prefix}_PORT`] = String(port.port);
    variables[`${prefix}_ADDR`] = ip;
  }
  return variables;
}

/** R11: the Services of the pod's namespace with `links`, and always `default/kubernetes`; one in the namespace's own wins. */
export function serviceVariables(services: readonly Service[], namespace: string, links: boolean): Record<string, string> {
  const variables: Record<string, string> = {};
  const hasIp = (service: Service): boolean => !['', 'None', undefined].includes(service.spec?.clusterIP);
  const api = services.find(({ metadata }) => metadata.namespace === 'default' && metadata.name === 'kubernetes');
  if (api && hasIp(api)) Object.assign(variables, variablesOf(api));
  if (!links) return variables;
  for (const service of services)
    if (service.metadata.namespace === namespace && hasIp(service)) Object.assign(variables, variablesOf(service));
  return variables;
}
