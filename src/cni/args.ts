import { CniError, cniCode } from './errors.ts';
import type { PodIdentity } from './request.ts';
import { shown } from './shown.ts';

const podKeys = new Map<string, keyof PodIdentity>([
  ['K8S_POD_NAMESPACE', 'namespace'],
  ['K8S_POD_NAME', 'name'],
  ['K8S_POD_UID', 'uid'],
]);
/** What older runtimes ask for by arguments: an address or several, and a MAC. */
const wishKeys = new Map<string, 'ip' | 'mac'>([
  ['IP', 'ip'],
  ['MAC', 'mac'],
]);
const otherKeys = ['IgnoreUnknown', 'K8S_POD_INFRA_CONTAINER_ID'];

/**
 * CNI_ARGS: `KEY=VALUE` pairs joined by ';'. A key that podnet does not know is an error unless IgnoreUnknown is true (CNI13).
 * @throws CniError 4
 */
export function parseArgs(text: string): { pod: PodIdentity; wishes: { ip?: string; mac?: string } } {
  const pairs = text
    .split(';')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1)
        throw new CniError(
          cniCode.invalidEnvironment,
          `CNI_ARGS has ${shown(pair)}: expected KEY=VALUE pairs joined by ';'`,
        );
      return [pair.slice(0, equals), pair.slice(equals + 1)] as const;
    });
  const ignoreUnknown = isTrue(pairs.findLast(([key]) => key === 'IgnoreUnknown')?.[1]);
  const unknown = pairs.map(([key]) => key).filter((key) => !podKeys.has(key) && !wishKeys.has(key) && !otherKeys.includes(key));
  if (unknown.length > 0 && !ignoreUnknown)
    throw new CniError(
      cniCode.invalidEnvironment,
      `CNI_ARGS has ${unknown.join(', ')}, which podnet does not know`,
      'leave it out or set IgnoreUnknown=1',
    );
  const pod: PodIdentity = {};
  const wishes: { ip?: string; mac?: string } = {};
  for (const [key, value] of pairs) {
    const field = podKeys.get(key);
    if (field) pod[field] = value;
    const wish = wishKeys.get(key);
    if (wish) wishes[wish] = value;
  }
  return { pod, wishes };
}

/** The words that libcni's UnmarshallableBool takes. */
function isTrue(value: string | undefined): boolean {
  if (value === undefined || /^(0|false)$/i.test(value)) return false;
  if (/^(1|true)$/i.test(value)) return true;
  throw new CniError(cniCode.invalidEnvironment, `CNI_ARGS has IgnoreUnknown=${value}: expected 1, true, 0 or false`);
}
