import {
  canonical,
  type Expression,
  match,
  type Nft,
  type Rule,
  type RulesetRule,
  type RulesetTable,
} from '../kernel/nftables/index.ts';
import type { Prefix } from '../net/prefix.ts';
import { isIptables } from './owners.ts';
import type { Hit } from '../walk/walk.ts';

/** The chain that Docker leaves to others, and calls before all else; it never changes what is in it (setupUserChain in moby's firewall_linux.go). */
export const dockerUser = 'DOCKER-USER';

/** What podnet keeps with the rules that it writes into others' chains: by this it knows them again, and nobody's else are touched. */
const tag = 'podnet';

/** Where a foreign firewall asks others for their rules. */
export interface Opening {
  family: 'ip' | 'ip6';
  table: string;
  chain: string;
}

/** What is to be written into one such chain. */
export interface OpeningChange extends Opening {
  add: Rule[];
  /** The rule that these come before; at the end of the chain when there is none. */
  before: number | undefined;
  /** Handles of podnet's own rules that are there and should not. */
  delete: number[];
}

/** Whether the base chain calls DOCKER-USER. */
export const hasDockerUser = ({ table, base }: Hit): boolean =>
  table.chains.has(dockerUser) &&
  base.rules.some(({ expressions }) => expressions.some((one) => one.name === 'immediate' && one.data === `jump ${dockerUser}`));

/**
 * Where a rule of podnet's, written as the firewall's owner wants it done, keeps the packet from this end. Only Docker has such a place: firewalld
 * deletes its table with each reload and owns it from 2.2 on, ufw writes its chains anew, and iptables-legacy is changed by replacing whole tables.
 */
export function openingOf(hit: Hit): Opening | undefined {
  const { table, base, chain, what } = hit;
  const { family, name, legacy } = table;
  if (what !== 'drop' && what !== 'reject') return undefined;
  if (legacy || (family !== 'ip' && family !== 'ip6') || base.hook?.hook !== 'forward') return undefined;
  // What an administrator drops in the very chain that is left to administrators is meant so.
  if (!isIptables(hit) || !hasDockerUser(hit) || chain.name === dockerUser) return undefined;
  return { family, table: name, chain: dockerUser };
}

const isOwn = ({ comment }: RulesetRule): boolean => comment === tag;

const places = (table: RulesetTable): (Opening & { rules: RulesetRule[] })[] => {
  const { family, name, legacy, chains } = table;
  if (legacy || (family !== 'ip' && family !== 'ip6')) return [];
  const chain = chains.get(dockerUser);
  return chain ? [{ family, table: name, chain: chain.name, rules: chain.rules }] : [];
};

/** The tables as they were without podnet's rules in them; the same ones where there are none. */
export function withoutOpenings(tables: readonly RulesetTable[]): readonly RulesetTable[] {
  if (!tables.some((table) => places(table).some(({ rules }) => rules.some(isOwn)))) return tables;
  return tables.map((table) => {
    const chains = new Map(table.chains);
    for (const { chain, rules } of places(table))
      chains.set(chain, { ...chains.get(chain)!, rules: rules.filter((rule) => !isOwn(rule)) });
    return { ...table, chains };
  });
}

/**
 * What is to be written so that pods' packets pass these places and podnet's rules are at no other.
 * @param wanted none when there is no consent
 * @param clusterCidrs of all pods
 */
export function planOpenings(
  tables: readonly RulesetTable[],
  wanted: readonly Opening[],
  clusterCidrs: readonly Prefix[],
): OpeningChange[] {
  return tables.flatMap(places).flatMap(({ family, table, chain, rules }): OpeningChange[] => {
    const isWanted = wanted.some((one) => one.family === family && one.table === table && one.chain === chain);
    const cidrs = isWanted ? clusterCidrs.filter((cidr) => cidr.family === (family === 'ip' ? 'ipv4' : 'ipv6')) : [];
    const missing = new Map(cidrs.flatMap(passing).map((rule) => [keyOf(rule.expressions), rule]));
    // The owner's own rules are asked first; behind the rule that ends the chain for all nothing is.
    const end = rules.findIndex(endsChain);
    const surplus = rules.filter(
      (rule, i) => isOwn(rule) && ((end !== -1 && i > end) || !missing.delete(keyOf(rule.expressions))),
    );
    if (missing.size === 0 && surplus.length === 0) return [];
    return [
      {
        ...{ family, table, chain, add: [...missing.values()], before: rules[end]?.handle },
        delete: surplus.map(({ handle }) => handle),
      },
    ];
  });
}

/** Writes the changes at once. @param generation of the ruleset that they were planned on @throws NftTransactionError ERESTART when it is another by now */
export function writeOpenings(nft: Nft, changes: readonly OpeningChange[], generation: number): void {
  for (const [i, table] of [...new Set(changes.map((change) => change.table))].entries()) {
    const own = changes.filter((change) => change.table === table);
    nft.transaction(
      table,
      (t) => {
        for (const { family, chain, add, before, delete: handles } of own) {
          t.in(family);
          for (const rule of add) t.insertRule(chain, rule, { comment: tag, before });
          for (const handle of handles) t.deleteRule(chain, handle);
        }
      },
      // Each transaction is a generation.
      generation + i,
    );
  }
}

export const openingWords = ({ family, table, chain }: Opening): string => `table ${family} ${table} chain ${chain}`;

/** `table ip filter chain DOCKER-USER: rules with the comment "podnet": 2 added` */
export const changeWords = (change: OpeningChange): string => {
  const parts = [['added', change.add.length] as const, ['deleted', change.delete.length] as const];
  const words = parts.filter(([, number]) => number > 0).map(([verb, number]) => `${number} ${verb}`);
  return `${openingWords(change)}: rules with the comment "${tag}": ${words.join(', ')}`;
};

/** `ip saddr CIDR counter accept` and the same of destinations: in the very form that iptables-nft writes, so that it can show and delete them. */
const passing = (cidr: Prefix): Rule[] =>
  (['saddr', 'daddr'] as const).map((which) => {
    // The family is the table's: nothing asks for it.
    const { text, expressions } = match.isWithin(which, cidr);
    return { text: `${text} counter accept`, expressions: [...expressions, { name: 'counter' }, ...match.accept.expressions] };
  });

/** Equal rules have equal keys, whatever they have counted. */
const keyOf = (expressions: readonly Expression[]): string =>
  JSON.stringify(expressions.map(canonical).filter(({ name }) => name !== 'counter'));

/** Nothing behind it in its chain is asked of any packet. */
const endsChain = ({ expressions }: RulesetRule): boolean => {
  const [only, ...more] = expressions.filter(({ name }) => name !== 'counter');
  return more.length === 0 && only?.name === 'immediate' && only.dreg === 'verdict' && !only.data?.startsWith('jump ');
};
