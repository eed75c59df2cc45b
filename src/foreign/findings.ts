import type { RulesetTable } from '../kernel/nftables/index.ts';
import type { Family } from '../net/ip.ts';
import { forgetDecoded } from '../walk/bits.ts';
import { fixOf } from './fixes.ts';
import { type Flow, flowsOf, type NodeShape } from './flows.ts';
import { type Opening, openingOf } from './opening.ts';
import { ownerOf } from './owners.ts';
import { type Hit, hooksOf, type Place, walk } from '../walk/walk.ts';
import { ruleWords } from './words.ts';

/** Something of others that keeps pods' packets from where they should go, or may. */
export interface Finding {
  /** A problem is certain and breaks what the network model promises; a warning may be meant so, or may not happen. */
  severity: 'problem' | 'warning';
  /** What it is, exactly: `table ip filter chain FORWARD policy drop`. */
  rule: string;
  /** Whose it is, as far as names tell. */
  owner?: string;
  /** What it does, to which packets. */
  what: string;
  /** Commands that mend it. */
  fix: string;
  /** Where podnet itself mends it, with consent. */
  opening?: Opening;
}

/** A finding in one line. */
export const sentence = ({ rule, owner, what, fix }: Finding): string =>
  `${rule}${owner === undefined ? '' : ` (of ${owner})`} ${what}${fix === '' ? '' : `; mend it with: ${fix}`}`;

/** `table ip filter chain FORWARD policy drop`, or a rule with its handle and words. */
export function placeWords({ table, base, chain, rule }: Place): string {
  const tool = table.legacy ? `${table.family === 'ip6' ? 'ip6tables' : 'iptables'}-legacy ` : '';
  const where = `${tool}table ${table.family} ${table.name} chain ${chain.name}`;
  if (!rule) return `${where} policy ${base.hook?.policy ?? 'accept'}`;
  const number = table.legacy ? `rule ${rule.handle}` : `rule handle ${rule.handle}`;
  const from = chain === base ? '' : ` (called from ${base.name})`;
  return `${where} ${number}${from}: "${ruleWords(rule, table)}"`;
}

interface Found {
  hit: Hit;
  certain: Flow[];
  possible: Flow[];
  because: Place | undefined;
}

/**
 * Walks all packets that pods need through the foreign tables and tells of the rules that stop or rewrite them. Yields after each flow, so
 * that whoever has other work can do it in between.
 */
export function* judgeFirewalls(tables: readonly RulesetTable[], node: NodeShape): Generator<void, Finding[]> {
  const hooks = hooksOf(tables);
  const found = new Map<string, Found>();
  for (const flow of flowsOf(node)) {
    for (const way of flow.ways) for (const hit of walk(hooks, way)) note(found, hit, flow);
    yield;
  }
  forgetDecoded();
  return [...found.values()].flatMap((one) => findingOf(one, node) ?? []);
}

function note(found: Map<string, Found>, hit: Hit, flow: Flow): void {
  const { table, chain, base, rule, what } = hit;
  // Service traffic is translated by those who think that Services are theirs: told with them.
  if (what === 'dnat' || (what === 'snat' && !flow.promised)) return;
  const key = [table.legacy, table.family, table.name, base.name, chain.name, rule?.handle, what].join(' ');
  let one = found.get(key);
  if (!one) found.set(key, (one = { hit, certain: [], possible: [], because: hit.because }));
  const list = hit.certain ? one.certain : one.possible;
  if (!list.includes(flow)) list.push(flow);
  if (hit.certain) one.hit = hit;
}

const familyWords: Record<Family, string> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** `pods to Services and 2 more (IPv4; TCP, UDP)` in full. */
function flowWords(flows: readonly Flow[]): string {
  const names = [...new Set(flows.map(({ name }) => name))];
  const families = [...new Set(flows.map(({ family }) => familyWords[family]))].join(' and ');
  const protocols = [...new Set(flows.map(({ protocol }) => protocol))];
  const only = protocols.length === 1 ? ` ${protocols[0]!.toUpperCase()}` : '';
  return `${families}${only} packets of ${names.join(', of ')}`;
}

const deeds: Record<Hit['what'], string> = {
  ...{
    drop: 'drops',
    reject: 'rejects',
    queue: 'hands to a program',
    snat: 'gives another source address to',
    dnat: 'redirects',
  },
};

function findingOf({ hit, certain, possible, because }: Found, node: NodeShape): Finding | undefined {
  const all = certain.length > 0 ? certain : possible;
  const promised = certain.some((flow) => flow.promised);
  const severity = promised && (hit.what === 'drop' || hit.what === 'reject') ? 'problem' : 'warning';
  const owner = ownerOf(hit);
  // A possible stop of what nobody promised is nothing to tell of.
  if (certain.length === 0 && !possible.some((flow) => flow.promised)) return undefined;
  const pods = all.some(({ name }) => !name.startsWith('tunnels'));
  const wanted = {
    families: [...new Set(all.map(({ family }) => family))],
    pods,
    tunnel: all.some(({ name }) => name.startsWith('tunnels')),
  };
  const opening = openingOf(hit);
  const why = certain.length > 0 || !because ? '' : ` (it depends on ${placeWords(because)})`;
  const deed = certain.length > 0 ? deeds[hit.what] : `perhaps ${deeds[hit.what]}`;
  return {
    severity,
    rule: placeWords(hit),
    ...(owner === undefined ? {} : { owner }),
    what: `${deed} ${flowWords(severity === 'problem' ? certain.filter((flow) => flow.promised) : all)}${why}`,
    fix: fixOf(hit, node, wanted),
    ...(opening ? { opening } : {}),
  };
}
