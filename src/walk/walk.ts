import type { NftHookName, RulesetChain, RulesetRule, RulesetTable } from '../kernel/nftables/index.ts';
import { evaluate } from './evaluate.ts';
import type { Packet } from './packet.ts';
import { freshState, type State } from './state.ts';

/** The packet at one hook. */
export interface Step {
  hook: NftHookName;
  packet: Packet;
  /** Only chains of these priorities see it like this: a Service's address before podnet translates it, the endpoint's behind. */
  priorities?: readonly [least: number, most: number];
}

/** One packet's way through the node. */
export type Way = readonly Step[];

export interface Place {
  table: RulesetTable;
  /** The base chain, where the packet came in. */
  base: RulesetChain;
  /** The chain that the rule is in. */
  chain: RulesetChain;
  /** undefined: the policy of the base chain. */
  rule: RulesetRule | undefined;
}

/** What a foreign rule does to a packet. */
export interface Hit extends Place {
  what: 'drop' | 'reject' | 'queue' | 'snat' | 'dnat';
  /** It surely happens; else the first rule on the way of which it cannot be told whether it matches. */
  certain: boolean;
  because?: Place;
}

interface Walk {
  table: RulesetTable;
  base: RulesetChain;
  packet: Packet;
  state: State;
  /** A rule that may have accepted the packet already. */
  accepted: Place | undefined;
  hits: Hit[];
  /** The rule that surely accepted it in this base chain. */
  by: Place | undefined;
  depth: number;
}

/** How a chain ended: `none` goes back to where it was called from. */
type End = 'accept' | 'drop' | 'none';

/** The kernel's NFT_JUMP_STACK_SIZE. */
const deepest = 16;

/** Base chains by hook, in the order that packets meet them. */
export type Hooks = ReadonlyMap<NftHookName, readonly { table: RulesetTable; chain: RulesetChain }[]>;

const families = new Map<string, readonly Packet['family'][]>([
  ['inet', ['ipv4', 'ipv6']],
  ['ip', ['ipv4']],
  ['ip6', ['ipv6']],
  ['netdev', ['ipv4', 'ipv6']],
]);

export function hooksOf(tables: readonly RulesetTable[]): Hooks {
  const hooks = new Map<NftHookName, { table: RulesetTable; chain: RulesetChain }[]>();
  for (const table of tables) {
    if (table.dormant || !families.has(table.family)) continue;
    for (const chain of table.chains.values()) {
      if (!chain.hook) continue;
      const list = hooks.get(chain.hook.hook);
      if (list) list.push({ table, chain });
      else hooks.set(chain.hook.hook, [{ table, chain }]);
    }
  }
  for (const list of hooks.values()) list.sort((a, b) => a.chain.hook!.priority - b.chain.hook!.priority);
  return hooks;
}

/**
 * Walks a packet through all base chains of its way, each as if the ones before had let it pass: an accept in one table does not keep another
 * from dropping, and whoever mends one wants to know of the next as well.
 */
export const walk = (hooks: Hooks, way: Way): Hit[] => follow(hooks, way).hits;

/** Where a packet came to. */
export interface Passage {
  hits: Hit[];
  /** Rules that surely accepted it, each in its base chain. */
  accepted: Place[];
  /** As rules left it: of a packet that was dropped as if it had gone on. */
  state: State | undefined;
}

/** The same, and what rules made of the packet. @param before what is known of it as it comes */
export function follow(hooks: Hooks, way: Way, before?: State): Passage {
  const hits: Hit[] = [];
  const accepted: Place[] = [];
  let state = before;
  for (const { hook, packet, priorities } of way) {
    state ??= freshState(packet);
    for (const { table, chain } of hooks.get(hook) ?? []) {
      const { priority, type, devices } = chain.hook!;
      if (!families.get(table.family)?.includes(packet.family)) continue;
      if (priorities && (priority < priorities[0] || priority > priorities[1])) continue;
      // Only the first packet of a connection is shown to nat chains.
      if (type === 'nat' && packet.state !== 'new') continue;
      const link = hook === 'ingress' ? packet.in : packet.out;
      if (devices.length > 0 && !devices.includes(link?.name ?? '')) continue;
      const walk: Walk = { ...{ table, base: chain, packet, state, accepted: undefined, hits: [], by: undefined, depth: 0 } };
      const end = walkChain(walk, chain, true);
      if (end === 'none' && chain.hook!.policy === 'drop')
        hit(walk, 'drop', { table, base: chain, chain, rule: undefined }, true);
      state = walk.state;
      hits.push(...walk.hits);
      if (walk.by) accepted.push(walk.by);
    }
  }
  return { hits, accepted, state };
}

function hit(walk: Walk, what: Hit['what'], place: Place, certain: boolean, because?: Place): void {
  const sure = certain && walk.accepted === undefined;
  const why = because ?? walk.accepted;
  walk.hits.push({ ...place, what, certain: sure, ...(sure || !why ? {} : { because: why }) });
}

/**
 * @param certain the packet surely comes here
 * @param because if not, the rule that decides it
 */
function walkChain(walk: Walk, chain: RulesetChain, certain: boolean, because?: Place): End {
  if (++walk.depth > deepest) {
    walk.depth--;
    return 'none';
  }
  try {
    return walkRules(walk, chain, certain, because);
  } finally {
    walk.depth--;
  }
}

function walkRules(walk: Walk, chain: RulesetChain, certain: boolean, why?: Place): End {
  const { table, base, packet } = walk;
  /** A rule that may have sent the packet back already. */
  let returned: Place | undefined;
  for (const rule of chain.rules) {
    const { matches, verdicts, after } = evaluate(rule, packet, walk.state, table);
    if (matches === false) continue;
    const place: Place = { table, base, chain, rule };
    const here = certain && returned === undefined;
    const sure = here && matches === true;
    const because = why ?? returned ?? (matches === true ? undefined : place);
    walk.state = sure ? after : merged(walk.state, after);
    for (const verdict of verdicts) {
      /** The packet surely goes no further in this chain, if it came here. */
      let ended: End | 'gone on' = 'gone on';
      switch (verdict.kind) {
        case 'accept':
          ended = 'accept';
          if (sure && !walk.accepted) walk.by = place;
          break;
        case 'nat':
          hit(walk, verdict.nat, place, sure, because);
          ended = 'accept';
          break;
        case 'queue':
          hit(walk, 'queue', place, false, because ?? place);
          ended = 'accept';
          break;
        case 'drop':
        case 'reject':
          hit(walk, verdict.kind, place, sure, because);
          ended = 'drop';
          break;
        case 'return':
          ended = 'none';
          break;
        case 'jump':
        case 'goto': {
          const target = table.chains.get(verdict.chain);
          const end = target ? walkChain(walk, target, sure, because) : 'none';
          if (end !== 'none') ended = end;
          else if (verdict.kind === 'goto') ended = 'none';
        }
      }
      if (ended === 'gone on') continue;
      if (matches === true && returned === undefined) return ended;
      // It may have ended here: what follows is sure no more, unless the packet is lost either way.
      if (ended === 'accept') walk.accepted ??= because ?? place;
      if (ended === 'none') returned ??= place;
      if (matches === true) return 'none';
    }
  }
  return 'none';
}

/** What is known when a rule may have been passed or not. */
const merged = (a: State, b: State): State => ({
  mark: a.mark === b.mark ? a.mark : undefined,
  ctMark: a.ctMark === b.ctMark ? a.ctMark : undefined,
  untracked: a.untracked && b.untracked,
  priority: a.priority === b.priority ? a.priority : undefined,
});
