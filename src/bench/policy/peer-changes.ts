import { NetNs } from '../../kernel/netns.ts';
import { namespaceAt } from '../links.ts';
import { tell } from '../progress.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { addressesOf, elsewhere, localPods, policyRow } from './cluster.ts';
import { flavours, feed, ipset, ipsetText, iptablesMore, iptablesText, restoreOf } from './iptables-layout.ts';

/** What a peer takes for the same, the whole of its commands. */
export interface PeerRow {
  peer: string;
  what: string;
  ms: Spread;
}

const policies = 1000;
/** Of the node, on each side. */
const perSide = 55;

/** iptables with 1,000 policies, 10,000 pods and 110 pods of the node: loading, a label, a namespace's label, a policy. */
export async function measurePeerChanges(directory: string, rounds: number, signal: AbortSignal): Promise<PeerRow[]> {
  const tool = ipset();
  if (tool === undefined) return [];
  const rows: PeerRow[] = [];
  const pods = localPods(policies, perSide);
  const addresses = [...addressesOf(pods)].slice(0, elsewhere);
  for (const flavour of flavours) {
    const path = `${directory}/peer-${flavour}`;
    const ns = namespaceAt(path);
    try {
      const taken = new Map<string, number[]>();
      const time = (what: string, program: string, args: readonly string[], text: string): void => {
        taken.set(what, [...(taken.get(what) ?? []), feed(ns, program, args, text)]);
      };
      const sets = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
      time('load sets', tool, ['restore'], ipsetText(policies, addresses));
      time('load rules', restoreOf(flavour), ['--noflush'], iptablesText(policies, pods));
      for (let round = 0; round < rounds; round++) {
        const [address, app] = addresses[(round * 7919) % addresses.length]!;
        if (app === 'stranger') continue;
        time("a pod's label", tool, ['restore'], sets([`del peers-${app} ${address} -exist`]));
        time("a pod's label", tool, ['restore'], sets([`add peers-${app} ${address} -exist`]));
        signal.throwIfAborted();
      }
      const named = addresses.filter(([, label]) => label !== 'stranger');
      time("a namespace's label moves 10,000 pods", tool, ['restore'], sets(named.map(([ip, app]) => `del peers-${app} ${ip} -exist`)));
      time("a namespace's label moves 10,000 pods", tool, ['restore'], sets(named.map(([ip, app]) => `add peers-${app} ${ip} -exist`)));
      for (let round = 0; round < 3; round++)
        time('a policy of all pods of the node', restoreOf(flavour), ['--noflush'], iptablesMore(policyRow(round, policies), pods));
      for (const [what, ms] of taken) rows.push({ peer: `iptables-${flavour}, ipset`, what, ms: spreadOf(ms) });
      tell(`iptables-${flavour}: loaded and changed`);
      await new Promise(setImmediate);
      signal.throwIfAborted();
    } finally {
      ns[Symbol.dispose]();
      NetNs.remove(path);
    }
  }
  return rows;
}
