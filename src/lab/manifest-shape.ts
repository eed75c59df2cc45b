import { type FieldType, loadSchema, type Model } from '../apiserver/schema/index.ts';
import type { KubeObject } from '../kube/api.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';

/** A value that no API would take where it stands. */
export interface Misfit {
  /** `spec.containers[0].ports[0].containerPort` */
  path: string;
  value: unknown;
  /** `a whole number` */
  expected: string;
}

/** The type of the Kubernetes API that an object is of; `undefined` of what podnet does not know. */
export const modelOf = ({ apiVersion = '', kind = '' }: Pick<KubeObject, 'apiVersion' | 'kind'>): Model | undefined => {
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return loadSchema().kind(group, version, kind);
};

/** The first value of an object that is of another form than its field, or no port, address or network where it must be one. What is unknown is passed over. */
export function misfitOf(object: KubeObject): Misfit | undefined {
  const model = modelOf(object);
  if (!model) return undefined;
  // Names, labels and annotations have sentences of their own.
  const { metadata: _, ...rest } = object as KubeObject & Record<string, unknown>;
  return inModel(model, rest, '');
}

const inModel = (model: Model, value: object, path: string): Misfit | undefined => {
  for (const [name, member] of Object.entries(value)) {
    const field = model.fields.get(name);
    if (!field || member === null || member === undefined) continue;
    const found = inValue(field.type, member, path === '' ? name : `${path}.${name}`, name);
    if (found) return found;
  }
  return undefined;
};

const isMapping = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param name of the field, also of the items of a list */
function inValue(type: FieldType, value: unknown, path: string, name: string): Misfit | undefined {
  const misfit = (expected: string): Misfit => ({ path, value, expected });
  const first = <T>(all: readonly T[], of: (one: T, place: number) => Misfit | undefined): Misfit | undefined => {
    for (const [place, one] of all.entries()) {
      const found = of(one, place);
      if (found) return found;
    }
    return undefined;
  };
  switch (type.kind) {
    case 'list':
      if (!Array.isArray(value)) return misfit('a list');
      return first(value as unknown[], (one, place) => inValue(type.items, one, `${path}[${place}]`, name));
    case 'map':
      if (!isMapping(value)) return misfit('a mapping');
      return first(Object.entries(value), ([key, one]) => inValue(type.values, one, `${path}.${key}`, ''));
    case 'model':
      if (type.model.special === 'intOrString')
        return typeof value === 'string' || Number.isInteger(value) ? portMisfit(name, value, misfit) : misfit('a number or a name');
      if (type.model.special) return undefined;
      return isMapping(value) ? inModel(type.model, value, path) : misfit('a mapping');
    case 'string':
    case 'bytes':
      return typeof value === 'string' ? addressMisfit(name, value, misfit) : misfit('a text');
    case 'boolean':
      return typeof value === 'boolean' ? undefined : misfit('true or false');
    case 'int32':
    case 'int64':
      return Number.isInteger(value) ? portMisfit(name, value, misfit) : misfit('a whole number');
    default:
      return undefined;
  }
}

const portFields = new Set(['port', 'containerPort', 'hostPort', 'nodePort', 'targetPort']);
/** 0 means that there is none, or that somebody else chooses. */
const optionalPorts = new Set(['hostPort', 'nodePort', 'targetPort']);

function portMisfit(name: string, value: unknown, misfit: (expected: string) => Misfit): Misfit | undefined {
  if (!portFields.has(name) || typeof value === 'string') return undefined;
  const first = optionalPorts.has(name) ? 0 : 1;
  return (value as number) >= first && (value as number) <= 65535 ? undefined : misfit('a port: they go from 1 to 65535');
}

const addressFields = new Set(['clusterIP', 'clusterIPs', 'externalIPs', 'podIP', 'ip', 'hostIP']);

function addressMisfit(name: string, value: string, misfit: (expected: string) => Misfit): Misfit | undefined {
  if (name === 'podCIDR' || name === 'podCIDRs') return value === '' || isCidr(value) ? undefined : misfit('a CIDR');
  if (!addressFields.has(name) || value === '' || value === 'None') return undefined;
  return IpAddr.tryParse(value) ? undefined : misfit('an IP address');
}

function isCidr(text: string): boolean {
  try {
    Prefix.parse(text);
    return true;
  } catch {
    return false;
  }
}
