import { type Family, IpAddr, families as knownFamilies } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { longestSocketPath } from '../unix/listen.ts';
import type { AgentConfig } from './config.ts';

/** The configuration with its texts parsed: what the agent works with. */
export interface Settings
  extends Omit<
    AgentConfig,
    'clusterCidrs' | 'serviceCidrs' | 'clusterDns' | 'nonMasqueradeCidrs' | 'cni' | 'services' | 'connmarkMask'
  > {
  clusterCidrs: readonly Prefix[];
  serviceCidrs: readonly Prefix[];
  clusterDns: readonly IpAddr[];
  nonMasqueradeCidrs: readonly Prefix[];
  services: {
    externalIpCidrs: readonly Prefix[];
    nodePortCidrs: readonly Prefix[] | undefined;
    healthPort: number;
    conntrackLimits: boolean;
  };
  cni: AgentConfig['cni'] & { hostLocalDir: string };
  /** Without a sign. */
  connmarkMask: number;
}

/**
 * Reads and judges what a configuration file holds.
 * @throws SyntaxError that names the field, the value seen and what is expected
 */
export function parseSettings(input: unknown): Settings {
  const whole = object('the configuration', input);
  const known = [
    ...['nodeName', 'kubeconfig', 'families', 'attach', 'backend', 'vxlan', 'clusterCidrs', 'serviceCidrs', 'clusterDns'],
    ...['nonMasqueradeCidrs', 'services', 'stateDir', 'cni', 'statusSocket', 'dnsHealthSocket', 'announceLoadBalancers'],
    ...['foreignFirewall', 'connmarkMask', 'policyStatus'],
  ];
  refuseUnknown('', whole, known);
  const vxlan = object('vxlan', whole.vxlan);
  refuseUnknown('vxlan.', vxlan, ['id', 'port']);
  const cni = object('cni', whole.cni);
  refuseUnknown('cni.', cni, ['network', 'socketPath', 'binDir', 'confDir', 'waitForDeletion', 'hostLocalDir']);
  const services = object('services', whole.services ?? {});
  refuseUnknown('services.', services, ['externalIpCidrs', 'nodePortCidrs', 'healthPort', 'conntrackLimits']);
  const families = list('families', whole.families, (text) => choice<Family>('families', text, knownFamilies));
  if (families.length === 0 || new Set(families).size < families.length)
    throw fault('families', whole.families, 'ipv4, ipv6 or both, each once, the primary first');
  return {
    nodeName: text('nodeName', whole.nodeName),
    ...(whole.kubeconfig === undefined ? {} : { kubeconfig: path('kubeconfig', whole.kubeconfig) }),
    families,
    attach: choice('attach', whole.attach, ['routed', 'bridge'] as const),
    backend: choice('backend', whole.backend, ['auto', 'direct', 'vxlan'] as const),
    vxlan: { id: integer('vxlan.id', vxlan.id, 1, 0xffffff), port: integer('vxlan.port', vxlan.port, 1, 65535) },
    clusterCidrs: list('clusterCidrs', whole.clusterCidrs, Prefix.parse),
    serviceCidrs: list('serviceCidrs', whole.serviceCidrs, Prefix.parse),
    clusterDns: list('clusterDns', whole.clusterDns, IpAddr.parse),
    nonMasqueradeCidrs: list('nonMasqueradeCidrs', whole.nonMasqueradeCidrs ?? [], Prefix.parse),
    services: {
      externalIpCidrs: list('services.externalIpCidrs', services.externalIpCidrs ?? [], Prefix.parse),
      nodePortCidrs:
        services.nodePortCidrs === undefined ? undefined : list('services.nodePortCidrs', services.nodePortCidrs, Prefix.parse),
      healthPort: integer('services.healthPort', services.healthPort ?? 10_256, 0, 65535),
      conntrackLimits: bool('services.conntrackLimits', services.conntrackLimits ?? true),
    },
    stateDir: path('stateDir', whole.stateDir),
    cni: {
      network: text('cni.network', cni.network),
      socketPath: socket('cni.socketPath', cni.socketPath),
      binDir: path('cni.binDir', cni.binDir),
      confDir: path('cni.confDir', cni.confDir),
      waitForDeletion: bool('cni.waitForDeletion', cni.waitForDeletion ?? false),
      hostLocalDir: path('cni.hostLocalDir', cni.hostLocalDir ?? '/var/lib/cni/networks'),
    },
    announceLoadBalancers: bool('announceLoadBalancers', whole.announceLoadBalancers ?? false),
    foreignFirewall: choice('foreignFirewall', whole.foreignFirewall ?? 'report', ['report', 'allow'] as const),
    connmarkMask: mask('connmarkMask', whole.connmarkMask ?? '0xffffff00'),
    policyStatus: bool('policyStatus', whole.policyStatus ?? true),
    statusSocket: socket('statusSocket', whole.statusSocket),
    ...(whole.dnsHealthSocket === undefined ? {} : { dnsHealthSocket: socket('dnsHealthSocket', whole.dnsHealthSocket) }),
  };
}

const fault = (field: string, value: unknown, expected: string): SyntaxError =>
  new SyntaxError(`agent configuration: ${field} is ${JSON.stringify(value) ?? 'missing'}: expected ${expected}`);

function refuseUnknown(prefix: string, value: Record<string, unknown>, known: readonly string[]): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new SyntaxError(`agent configuration: unknown field "${prefix}${unknown}"; known are ${known.join(', ')}`);
}

function object(field: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw fault(field, value, 'an object');
}

function text(field: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw fault(field, value, 'a text');
}

function path(field: string, value: unknown): string {
  const name = text(field, value);
  if (name.startsWith('/')) return name;
  throw fault(field, value, 'an absolute path');
}

function socket(field: string, value: unknown): string {
  const name = path(field, value);
  if (Buffer.byteLength(name) <= longestSocketPath) return name;
  throw fault(field, value, `a path of at most ${longestSocketPath} bytes, since it is a unix socket's`);
}

function integer(field: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw fault(field, value, `a whole number from ${least} to ${most}`);
}

/** Of 32 bits: a run of ones, long enough that what it holds is not soon used up. */
function mask(field: string, value: unknown): number {
  const number = typeof value === 'string' && /^0x[0-9a-f]{1,8}$/i.test(value) ? Number(value) : 0;
  const bits = number.toString(2).replace(/0+$/, '');
  if (bits.length >= 16 && !bits.includes('0')) return number;
  throw fault(field, value, 'a mask as hexadecimal text, at least 16 bits one beside the other, such as "0xffffff00"');
}

function bool(field: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw fault(field, value, 'true or false');
}

function choice<T extends string>(field: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((one) => one === value);
  if (found !== undefined) return found;
  throw fault(field, value, choices.join(' or '));
}

function list<T>(field: string, value: unknown, parse: (text: string) => T): T[] {
  if (!Array.isArray(value)) throw fault(field, value, 'a list of texts');
  return value.map((item: unknown, i) => {
    if (typeof item !== 'string') throw fault(`${field}[${i}]`, item, 'a text');
    try {
      return parse(item);
    } catch (cause) {
      if ((cause as Error).message.startsWith('agent configuration')) throw cause;
      throw new SyntaxError(`agent configuration: ${field}[${i}]: ${(cause as Error).message}`, { cause });
    }
  });
}
