import { lowerName, parseName, type WireName, formatName } from '../wire/names.ts';
import type { RewriteEntry } from './entries.ts';
import { safePattern } from './pattern.ts';

/** A name by a rule, and how names in the answer are turned back. */
export interface Rewritten {
  name: WireName;
  /** For people. */
  rule: string;
  owner: readonly Turn[];
  target: readonly Turn[];
}

type Turn = (name: string) => string | undefined;

interface Rule {
  text: string;
  turn: Turn;
  goOn: boolean;
  owner: readonly Turn[];
  target: readonly Turn[];
}

/** Rules are asked for their time: one that takes so much of the processor for a name is not asked again, so that no name can hold the server up. */
const longestMs = 20;

/** Names that are asked for under other names. Rules see the name in lower case with its last dot, as CoreDNS' do. */
export class Rewrites {
  readonly #rules: Rule[];
  /** Whole names, by name: these cost the same whatever their number. Only as long as no other rule stands before them. */
  readonly #exact = new Map<string, Rule>();
  readonly onSlow: (rule: string, ms: number) => void;

  /** @throws SyntaxError naming the rule whose pattern or name is none */
  constructor(entries: readonly RewriteEntry[], onSlow: (rule: string, ms: number) => void = () => {}) {
    this.onSlow = onSlow;
    const rules = entries.map(ruleOf);
    const firstOther = entries.findIndex(({ match, continue: goOn }) => match !== 'exact' || goOn === true);
    const plain = firstOther < 0 ? entries.length : firstOther;
    for (let i = plain - 1; i >= 0; i--) this.#exact.set(fullName(entries[i]!.from), rules[i]!);
    this.#rules = rules.slice(plain);
  }

  get size(): number {
    return this.#exact.size + this.#rules.length;
  }

  /** @returns undefined when no rule wants to change the name */
  apply(name: WireName): Rewritten | undefined {
    let text = formatName(name);
    const exact = this.#exact.get(text);
    if (exact) return this.#result(exact.turn(text)!, [exact]);
    const used: Rule[] = [];
    for (const rule of this.#rules) {
      const began = performance.now();
      const next = rule.turn(text);
      const took = performance.now() - began > longestMs ? cpuMsOf(rule, text) : 0;
      if (took > longestMs) {
        this.#rules.splice(this.#rules.indexOf(rule), 1);
        this.onSlow(rule.text, took);
        return undefined;
      }
      if (next === undefined) continue;
      text = next;
      used.push(rule);
      if (!rule.goOn) break;
    }
    return used.length > 0 ? this.#result(text, used) : undefined;
  }

  #result(text: string, rules: readonly Rule[]): Rewritten | undefined {
    try {
      return {
        name: lowerName(parseName(text)),
        rule: rules.map((rule) => rule.text).join(', '),
        owner: rules.flatMap(({ owner }) => owner),
        target: rules.flatMap(({ target }) => target),
      };
    } catch {
      // What comes out is no name: the question stays as it is.
      return undefined;
    }
  }
}

/** @returns the name turned by the first rule that wants to; as it is when none does, or when no name comes out */
export function turned(name: WireName, turns: readonly Turn[]): WireName {
  if (turns.length === 0) return name;
  const text = formatName(name);
  for (const turn of turns) {
    const next = turn(text);
    if (next === undefined) continue;
    try {
      return parseName(next);
    } catch {
      return name;
    }
  }
  return name;
}

function ruleOf(entry: RewriteEntry, i: number): Rule {
  const text = `rewrite[${i}] ${entry.match} ${entry.from} ${entry.to}`;
  const named = <T>(make: () => T): T => {
    try {
      return make();
    } catch (error) {
      throw new SyntaxError(`${text}: ${(error as Error).message}`);
    }
  };
  const back = (which: 'owner' | 'target'): Turn[] =>
    (entry.answer ?? []).filter(({ names }) => names === which).map(({ from, to }) => named(() => byPattern(from, to)));
  return { text, turn: named(() => turnOf(entry)), goOn: entry.continue ?? false, owner: back('owner'), target: back('target') };
}

function turnOf({ match, from, to }: RewriteEntry): Turn {
  if (match === 'regex') return byPattern(from, to);
  if (match === 'exact') {
    const [whole, other] = [fullName(from), fullName(to)];
    return (name) => (name === whole ? other : undefined);
  }
  const [part, other] = [from.toLowerCase(), to.toLowerCase()];
  if (match === 'prefix') return (name) => (name.startsWith(part) ? other + name.slice(part.length) : undefined);
  if (match === 'suffix') {
    const [end, newEnd] = [withDot(part), withDot(other)];
    return (name) => (name.endsWith(end) ? name.slice(0, name.length - end.length) + newEnd : undefined);
  }
  return (name) => (name.includes(part) ? name.replaceAll(part, () => other) : undefined);
}

const withDot = (text: string): string => (text.endsWith('.') ? text : `${text}.`);
const fullName = (text: string): string => formatName(lowerName(parseName(text)));

/** The whole name becomes `to`, with `{1}` for the first group. A pattern may end at the name's last dot or before it. */
function byPattern(from: string, to: string): Turn {
  const pattern = safePattern(from);
  return (name) => {
    const found = pattern.exec(name) ?? pattern.exec(name.slice(0, -1));
    return found ? to.replaceAll(/\{(\d)\}/g, (_, group: string) => found[Number(group)] ?? '') : undefined;
  };
}

/** What the rule itself takes: the process may have got no turn meanwhile, and a machine that is busy must not change what a name means. */
function cpuMsOf({ turn }: Rule, text: string): number {
  const before = process.cpuUsage();
  turn(text);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
