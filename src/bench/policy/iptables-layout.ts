import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NetNs } from '../../kernel/netns.ts';
import { apps, type LocalPod, type PolicyRow, policyRow } from './cluster.ts';
import type { Enforcement } from './policy-node.ts';

/** Which iptables. */
export type Flavour = 'legacy' | 'nft';
export const flavours: readonly Flavour[] = ['legacy', 'nft'];

const ipsetPath = fileURLToPath(new URL('../../../.cache/bench-tools/ipset', import.meta.url));
/** ipset(8): whatever the machine has, else what scripts/bench-tools.sh fetched. */
export function ipset(): string | undefined {
  try {
    accessSync(ipsetPath, constants.X_OK);
    return ipsetPath;
  } catch {
    return spawnSync('ipset', ['version']).error === undefined ? 'ipset' : undefined;
  }
}

export const restoreOf = (flavour: Flavour): string => `iptables-${flavour}-restore`;

/** Peers that cannot be measured here, with the reason. */
export function missingPeers(): { name: string; why: string }[] {
  const tool = ipset();
  if (tool === undefined) return [{ name: 'iptables and ipset', why: "ipset is missing: Debian's, by scripts/bench-tools.sh" }];
  const { status, stderr } = spawnSync(tool, ['list', '-n'], { encoding: 'utf8' });
  if (status !== 0) return [{ name: 'iptables and ipset', why: `this kernel has no ip_set: ${stderr.trim()}` }];
  return flavours
    .filter((flavour) => spawnSync(restoreOf(flavour), ['--version']).error !== undefined)
    .map((flavour) => ({ name: `iptables-${flavour}`, why: `${restoreOf(flavour)} is not on the PATH` }));
}

/** Runs a command in a namespace with text on its input. @returns how long it took, ms. @throws Error with its own words */
export function feed(ns: NetNs, program: string, args: readonly string[], text: string): number {
  const begin = performance.now();
  const { status, stderr, error } = ns.enter(() => spawnSync(program, [...args], { input: text, encoding: 'utf8', maxBuffer: 1 << 28 })) as {
    status: number | null;
    stderr: string;
    error?: Error;
  };
  if (error || status !== 0) throw new Error(`${program}: ${error?.message ?? stderr.slice(0, 500)}`);
  return performance.now() - begin;
}

const setOf = (app: string): string => `peers-${app}`;

/** One set for each app that policies name, with the addresses of its pods. */
export function ipsetText(policies: number, pods: Iterable<readonly [address: string, app: string]>): string {
  const known = new Set(Array.from({ length: apps(policies) }, (_, i) => `app-${i}`));
  const lines = [...known].map((app) => `create ${setOf(app)} hash:ip`);
  for (const [address, app] of pods) if (known.has(app)) lines.push(`add ${setOf(app)} ${address}`);
  return `${lines.join('\n')}\n`;
}

const chainOf = (pod: LocalPod, direction: 'IN' | 'OUT'): string => `POD-${direction}-${pod.name}`;
const peerRule = (pod: LocalPod, direction: 'IN' | 'OUT', { app, port }: PolicyRow): string =>
  `-A ${chainOf(pod, direction)} -p tcp -m tcp --dport ${port} -m set --match-set ${setOf(app)} ${direction === 'IN' ? 'src' : 'dst'} -j RETURN`;

/**
 * Two chains for each pod of the node, one for each direction, in them one rule for each peer of each policy that selects the pod, and a drop at their ends: the layout of
 * several implementations on iptables. What is established passes first.
 */
export function iptablesText(policies: number, pods: readonly LocalPod[]): string {
  const directions = ['IN', 'OUT'] as const;
  const rows = Array.from({ length: policies }, (_, i) => policyRow(i, policies));
  return [
    '*filter',
    ...pods.flatMap((pod) => directions.map((direction) => `:${chainOf(pod, direction)} - [0:0]`)),
    '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ...pods.map((pod) => `-A FORWARD -s ${pod.address} -j ${chainOf(pod, 'OUT')}`),
    ...pods.map((pod) => `-A FORWARD -d ${pod.address} -j ${chainOf(pod, 'IN')}`),
    ...pods.flatMap((pod) =>
      directions.flatMap((direction) => [
        ...rows.map((row) => peerRule(pod, direction, row)),
        `-A ${chainOf(pod, direction)} -j DROP`,
      ]),
    ),
    'COMMIT',
    '',
  ].join('\n');
}

/** As one more policy of these pods is made known: a rule for each chain, before its end, and nothing else. */
export function iptablesMore(row: PolicyRow, pods: readonly LocalPod[]): string {
  const rules = pods.flatMap((pod) => (['IN', 'OUT'] as const).map((direction) => peerRule(pod, direction, row).replace(/^-A (\S+)/, '-I $1 1')));
  return ['*filter', ...rules, 'COMMIT', ''].join('\n');
}

/** @param addresses of all pods of the cluster, with their app */
export const iptables = (flavour: Flavour, policies: number, addresses: () => Iterable<readonly [address: string, app: string]>): Enforcement => ({
  apply(node, _reconciler, pods) {
    feed(node, ipset()!, ['restore'], ipsetText(policies, addresses()));
    feed(node, restoreOf(flavour), ['--noflush'], iptablesText(policies, pods));
    return true;
  },
});
