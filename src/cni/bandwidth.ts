import { parseQuantity } from '../kube/quantity.ts';
import { anyCase } from './any-case.ts';
import { CniError, cniCode } from './errors.ts';
import { shown } from './shown.ts';

/** How much may go in one direction: `rate` in bits a second, `burst` in bits. */
interface Limit {
  rate: number;
  burst?: number;
}

/** `ingress` is what the pod receives, `egress` what it sends. */
export interface Bandwidth {
  ingress?: Limit;
  egress?: Limit;
}

const directions = ['ingress', 'egress'] as const;
export const annotationsCapability = 'io.kubernetes.cri.pod-annotations';

/**
 * What runtimes write when nobody asked for a burst (kubelet with dockershim, containerd, CRI-O): 256 MB to 4 GB, in which no limit would be felt.
 * podnet chooses the burst then.
 */
const nobodysBursts: ReadonlySet<number> = new Set([2 ** 31 - 1, 2 ** 32 - 1, (2 ** 32 - 1) * 8, (2 ** 32 - 1) * 8 - 1]);
/** What the kernel's 32 bits hold, in bytes. */
const mostBurst = (2 ** 32 - 1) * 8;

/**
 * The capability `bandwidth`, as the reference plugin of that name has it; where it says nothing, the pod's annotations, when the runtime hands them over.
 * @returns undefined when nothing is limited @throws CniError 7
 */
export function parseBandwidth(runtimeConfig: Readonly<Record<string, unknown>> | undefined): Bandwidth | undefined {
  const given = objectAt(runtimeConfig, 'bandwidth');
  const asked = given && anyCase(given);
  const bandwidth: Bandwidth = {};
  for (const direction of asked ? directions : []) {
    const limit = limitOf(direction, asked!);
    if (limit) bandwidth[direction] = limit;
  }
  if (Object.keys(bandwidth).length > 0) return bandwidth;
  const annotations = objectAt(runtimeConfig, annotationsCapability);
  return annotations && bandwidthOfAnnotations(annotations);
}

/**
 * `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`: quantities of bits a second, in kubelet's bounds (CRI11).
 * @throws CniError 7
 */
export function bandwidthOfAnnotations(annotations: Readonly<Record<string, unknown>>): Bandwidth | undefined {
  const bandwidth: Bandwidth = {};
  for (const direction of directions) {
    const name = `kubernetes.io/${direction}-bandwidth`;
    const value = annotations[name];
    if (value === undefined) continue;
    const rate = typeof value === 'string' ? bitRate(value) : undefined;
    if (rate === undefined || rate < 1e3 || rate > 1e15)
      throw new CniError(
        cniCode.invalidConfig,
        `the pod's annotation ${name} is ${shown(value)}: expected bits a second between 1k and 1P, e.g. 10M`,
      );
    bandwidth[direction] = { rate };
  }
  return Object.keys(bandwidth).length > 0 ? bandwidth : undefined;
}

function bitRate(text: string): number | undefined {
  try {
    return Math.ceil(parseQuantity(text));
  } catch {
    return undefined;
  }
}

function limitOf(direction: string, asked: Record<string, unknown>): Limit | undefined {
  const rate = bits(`${direction}Rate`, asked, 2 ** 64);
  const burst = bits(`${direction}Burst`, asked, mostBurst);
  if (rate > 0) return burst === 0 || nobodysBursts.has(burst) ? { rate } : { rate, burst };
  if (burst === 0 || nobodysBursts.has(burst)) return undefined;
  throw fault(`bandwidth.${direction}Burst`, burst, `none without ${direction}Rate`);
}

function bits(name: string, asked: Record<string, unknown>, most: number): number {
  const value = asked[name] ?? 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw fault(`bandwidth.${name}`, value, `a whole number of bits${name.endsWith('Rate') ? ' a second' : ''}, at most ${most}`);
}

function objectAt(
  runtimeConfig: Readonly<Record<string, unknown>> | undefined,
  key: string,
): Record<string, unknown> | undefined {
  const value = runtimeConfig?.[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw fault(key, value, 'an object');
}

const fault = (key: string, value: unknown, expected: string): CniError =>
  new CniError(cniCode.invalidConfig, `runtimeConfig.${key} is ${shown(value)}: expected ${expected}`);
