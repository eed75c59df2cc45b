import type { Family, IpAddr } from '../net/ip.ts';
import type { Attempt, Check, Finding } from './attempt.ts';
import type { EchoFailure } from './echoes.ts';
import type { VerifyLimits } from './input.ts';
import type { Place } from './place.ts';
import type { Policies } from './policies.ts';
import type { Answer } from './station.ts';

export type Pair = readonly [Place, Place];

/** Which source addresses are right, and how to say so. */
export interface SourceRule {
  expected: string;
  right(seen: IpAddr): boolean;
  /** What an address is, for the one who has to find the fault. */
  explain(seen: IpAddr): string;
}

export interface PairsOptions {
  id: string;
  title: string;
  pairs: readonly Pair[];
  family: Family;
  limits: VerifyLimits;
  policies: Policies;
  note?: string;
  sourceOf(pair: Pair): SourceRule;
}

const ipUdpHeaders = { ipv4: 28, ipv6: 48 } as const;
const plainEcho = 84;
/** What does not come in this time never does; packets to the same place need a hundredth of it. */
const silenceMs = 300;

/** The checks of ordered pairs: TCP, UDP, UDP in fragments, ICMP echo, and a packet of exactly the MTU that may not be fragmented. */
export function pairChecks(options: PairsOptions): Check[] {
  const { id, title, family, limits, note, sourceOf } = options;
  const pairs = options.pairs.filter(([from, to]) => from.stations[family] && to.stations[family]);
  if (pairs.length === 0) return [];
  type Ask = (pair: Pair, timeoutMs: number) => Promise<Answer>;
  const check = (suffix: string, what: string, protocol: Check['protocol'], ask: Ask): Check[] => {
    const denied = new Set(pairs.filter((pair) => isDenied(pair, family, protocol, options.policies)));
    const allowed = pairs.filter((pair) => !denied.has(pair));
    const common = { family, protocol };
    const answer = (pair: Pair): Attempt =>
      attemptOf(pair, family, async () => judge(await ask(pair, limits.timeoutMs), sourceOf(pair)));
    const silence = (pair: Pair): Attempt => attemptOf(pair, family, async () => judgeDenied(await ask(pair, silenceMs)));
    const kept = `${title}, kept apart by policies`;
    return [
      ...(allowed.length > 0
        ? [{ ...common, id: `${id}${suffix}`, title: `${title}${what}`, note, attempts: allowed.map(answer) }]
        : []),
      ...(denied.size > 0 && suffix === ''
        ? [{ ...common, id: `${id}-denied`, title: kept, waits: true, untimed: true, attempts: [...denied].map(silence) }]
        : []),
    ];
  };
  const udp = ([from, to]: Pair, size: number, timeoutMs: number): Promise<Answer> =>
    from.stations[family]!.askUdp(to.stations[family]!, size, timeoutMs);
  const echo = ([from, to]: Pair, size: number, timeoutMs: number): Promise<Answer> =>
    from.echoes[family]!.ask(to.echoes[family]!, size, timeoutMs);
  // In at least three pieces.
  const large = ([from]: Pair): number => Math.min(from.mtu(family) * 2 + 500, 60_000);
  return [
    check('', '', 'tcp', ([from, to], timeoutMs) => from.stations[family]!.askTcp(to.stations[family]!, timeoutMs)),
    check('', '', 'udp', (pair, timeoutMs) => udp(pair, 64, timeoutMs)),
    check('-fragments', ', fragments', 'udp', (pair, timeoutMs) => udp(pair, large(pair) - ipUdpHeaders[family], timeoutMs)),
    check('', '', 'icmp', (pair, timeoutMs) => echo(pair, plainEcho, timeoutMs)),
    check('-mtu', ', MTU, DF', 'icmp', (pair, timeoutMs) =>
      echo(pair, Math.min(pair[0].mtu(family), pair[1].mtu(family)), timeoutMs),
    ),
  ].flat();
}

/** Whether policies forbid what one end would ask the other. */
function isDenied([from, to]: Pair, family: Family, protocol: Check['protocol'], policies: Policies): boolean {
  const [source, station] = [from.address(family), to.stations[family]];
  if (!source || !station) return false;
  const port = { tcp: station.tcpPort, udp: station.udpPort, dns: station.udpPort, icmp: undefined }[protocol];
  return policies.denies(source, station.address, protocol, port);
}

const judgeDenied = (answer: Answer): Finding =>
  'failed' in answer
    ? undefined
    : { expected: 'nothing', seen: 'an answer', why: "policies forbid it; 'podnet policy check' says which, by the addresses" };

/** One byte more than the own link takes is refused at once, with the right number: a sender that is not told would lose packets for ever. */
export function tooBigCheck(pairs: readonly Pair[], family: Family, { timeoutMs }: VerifyLimits): Check[] {
  const attempts = pairs
    .filter(([from, to]) => from.echoes[family] && to.echoes[family])
    .map((pair) =>
      attemptOf(pair, family, async () => {
        const [from, to] = pair;
        const mtu = from.mtu(family);
        const answer = await from.echoes[family]!.ask(to.echoes[family]!, mtu + 1, timeoutMs);
        return judgeTooBig(answer, mtu);
      }),
    );
  const title = 'pod, MTU + 1, DF';
  return attempts.length === 0 ? [] : [{ id: 'pod-too-big', title, family, protocol: 'icmp', attempts }];
}

/** A path may have a smaller MTU than the pod's link: then the pod is told the number, and a packet of that size passes. */
export function pathMtuCheck({ id, title, pairs, family, limits, policies }: Omit<PairsOptions, 'sourceOf'>): Check[] {
  const attempts = pairs
    .filter(([from, to]) => from.echoes[family] && to.echoes[family])
    .filter((pair) => !isDenied(pair, family, 'icmp', policies))
    .map((pair) => attemptOf(pair, family, () => pathMtu(pair, family, limits.timeoutMs)));
  return attempts.length === 0 ? [] : [{ id, title, family, protocol: 'icmp', attempts }];
}

async function pathMtu([from, to]: Pair, family: Family, timeoutMs: number): Promise<Finding> {
  let size = from.mtu(family);
  const expected = `${size} bytes with DF pass, or the smaller MTU is told`;
  // Each router on the way may tell a smaller one.
  for (let hops = 0; hops < 8; hops++) {
    const answer: Answer | EchoFailure = await from.echoes[family]!.ask(to.echoes[family]!, size, timeoutMs);
    if ('seen' in answer) return undefined;
    const mtu = 'mtu' in answer ? answer.mtu : undefined;
    if (mtu === undefined || mtu >= size) return { expected, seen: 'a loss without a number', why: answer.failed };
    size = mtu;
  }
  return { expected, seen: 'ever smaller numbers', why: `the last MTU told was ${size}` };
}

function judgeTooBig(answer: Answer | EchoFailure, mtu: number): Finding {
  const expected = `EMSGSIZE with MTU ${mtu}`;
  if ('seen' in answer)
    return { expected, seen: 'an answer', why: `${mtu + 1} bytes passed: the link's MTU is not what it says` };
  const told = 'mtu' in answer ? answer.mtu : undefined;
  if (told === mtu) return undefined;
  return { expected, seen: told === undefined ? 'no number' : `MTU ${told}`, why: answer.failed };
}

function attemptOf([from, to]: Pair, family: Family, run: () => Promise<Finding>): Attempt {
  return { from: from.text(family), to: to.text(family), run };
}

function judge(answer: Answer, rule: SourceRule): Finding {
  if ('failed' in answer) return { expected: 'an answer', seen: 'none', why: answer.failed };
  if (rule.right(answer.seen)) return undefined;
  return { expected: `source ${rule.expected}`, seen: `source ${answer.seen}`, why: rule.explain(answer.seen) };
}
