import type { RulesetChain, RulesetHook, RulesetSet, RulesetTable } from '../../kernel/nftables/index.ts';
import type { Rule } from '../../kernel/nftables/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Finding, judgeFirewalls } from '../findings.ts';
import type { NodeShape } from '../flows.ts';

const pod = (index: number): NodeShape['podLinks'][0] => ({ name: 'pod????????', index, group: 28782 });
const uplink = { name: 'eth0', index: 2, group: 0 };

/** A dual-stack node with a neighbour on its link. */
export const shape: NodeShape = {
  families: ['ipv4', 'ipv6'],
  podCidrs: ['10.1.0.0/24', 'fd01::/64'].map(Prefix.parse),
  clusterCidrs: ['10.1.0.0/16', 'fd01::/48'].map(Prefix.parse),
  serviceCidrs: ['10.96.0.0/16', 'fd96::/112'].map(Prefix.parse),
  clusterDns: ['10.96.0.10', 'fd96::a'].map(IpAddr.parse),
  addresses: ['192.0.2.1', '2001:db8::1'].map(IpAddr.parse),
  podLinks: [pod(0x7ffffff0), pod(0x7ffffff1)],
  uplink,
  peers: ['10.1.1.0/24', 'fd01:0:0:1::/64'].map((cidr) => ({ podCidr: Prefix.parse(cidr), link: uplink })),
};

/** All of the judgement at once. */
export function judge(tables: readonly RulesetTable[], node = shape): Finding[] {
  const judging = judgeFirewalls(tables, node);
  for (;;) {
    const { done, value } = judging.next();
    if (done) return value;
  }
}

/** A chain of rules, numbered from 1. */
export const chain = (name: string, rules: readonly Rule[], hook?: Partial<RulesetHook>): RulesetChain => ({
  name,
  ...(hook ? { hook: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept', devices: [], ...hook } } : {}),
  rules: rules.map(({ expressions }, i) => ({ handle: i + 1, expressions: [...expressions] })),
});

/** Table `inet theirs`. */
export const table = (chains: readonly RulesetChain[], sets: readonly RulesetSet[] = []): RulesetTable => ({
  ...{ family: 'inet', name: 'theirs', dormant: false },
  chains: new Map(chains.map((one) => [one.name, one])),
  sets: new Map(sets.map((one) => [one.name, one])),
});
