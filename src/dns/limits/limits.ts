import { Prefix } from '../../net/prefix.ts';
import type { ClientAddress } from '../wire/client.ts';
import { headerBytes, rcode } from '../wire/constants.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import { RateTable } from './rate.ts';
import { Ranges } from './ranges.ts';

/** Who is answered, and how often (T31): `limits` of the configuration. */
export interface LimitOptions {
  /** Ranges that are answered beside the cluster's own and this machine; default: the addresses of the cluster's Nodes. `["0.0.0.0/0", "::/0"]`: everybody. */
  clients?: readonly string[];
  /**
   * Equal answers over UDP in a second to one address (IPv6: /64) outside of the cluster's ranges, whose addresses can be forged; 0: no limit. Default
   * 1000. Equal are answers to the same name and type, absences below the same parent, and failures.
   */
  responsesPerSecond?: number;
  /** Of the answers above that, each `slip`th is sent empty with TC, so that a real asker comes again over TCP; the others are dropped. Default 1: all. */
  slip?: number;
}

export interface ParsedLimits {
  /** undefined: the Nodes. */
  clients: Prefix[] | undefined;
  responsesPerSecond: number;
  slip: number;
}

const fields: Record<keyof LimitOptions, true> = { clients: true, responsesPerSecond: true, slip: true };

/** @throws SyntaxError that names the field, the value seen and what is expected; the field is told from `limits` on */
export function parseLimits(input: LimitOptions = {}): ParsedLimits {
  const unknown = Object.keys(input).find((key) => !(key in fields));
  if (unknown !== undefined)
    throw new SyntaxError(`unknown field "limits.${unknown}"; known are ${Object.keys(fields).join(', ')}`);
  const { responsesPerSecond = 1000, slip = 1 } = input;
  if (!Number.isInteger(responsesPerSecond) || responsesPerSecond < 0)
    throw new SyntaxError(`limits.responsesPerSecond must be a whole number from 0, not ${JSON.stringify(responsesPerSecond)}`);
  if (!Number.isInteger(slip) || slip < 1 || slip > 10)
    throw new SyntaxError(`limits.slip must be a whole number from 1 to 10, not ${JSON.stringify(slip)}`);
  try {
    return { clients: input.clients?.map(Prefix.parse), responsesPerSecond, slip };
  } catch (cause) {
    throw new SyntaxError(`limits.clients: ${(cause as Error).message}`, { cause });
  }
}

/** Addresses of this machine alone: nobody else can have them. */
export const loopback: readonly Prefix[] = ['127.0.0.0/8', '::1/128'].map(Prefix.parse);

export interface LimitCounters {
  /** Questions of those who are not answered. */
  strangers: number;
  /** Answers above the rate: sent empty with TC, and not sent. */
  slipped: number;
  dropped: number;
}

/** What becomes of an answer. */
export type Ruling = 'send' | 'slip' | 'drop';

/** Judges askers and answers. Allocates nothing. */
export class Limits {
  /** undefined: everybody. */
  readonly #clients: { has(client: ClientAddress): boolean } | undefined;
  /** Where addresses cannot be forged: pods' are checked where they enter the node. */
  readonly #own: Ranges;
  readonly #rate: RateTable | undefined;
  readonly #slip: number;
  readonly #now: () => number;
  readonly counters: LimitCounters = { strangers: 0, slipped: 0, dropped: 0 };

  /**
   * @param ranges of the cluster's pods and Services, and what else cannot be forged
   * @param now monotonic milliseconds
   * @param nodes in place of configured clients
   */
  constructor({ clients, responsesPerSecond, slip }: ParsedLimits, ranges: readonly Prefix[], now: () => number, nodes?: { has(client: ClientAddress): boolean }) {
    this.#clients = clients ? new Ranges(clients) : nodes;
    this.#own = new Ranges([...ranges, ...loopback]);
    this.#rate = responsesPerSecond > 0 ? new RateTable(responsesPerSecond) : undefined;
    this.#slip = slip;
    this.#now = now;
  }

  /** Whether this asker is answered at all. One that is not known (tests without sockets) is. */
  answers(client: ClientAddress): boolean {
    if (!this.#clients || client.family === 0 || this.#own.has(client) || this.#clients.has(client)) return true;
    this.counters.strangers++;
    return false;
  }

  /** Over UDP, whether a finished answer may go out. */
  judge(query: Query, reply: Reply): Ruling {
    const { client } = query;
    if (!this.#rate || query.transport !== 'udp' || client.family === 0 || this.#own.has(client)) return 'send';
    const refused = this.#rate.take(keyOf(query, reply), this.#now());
    if (refused === 0) return 'send';
    const slips = refused % this.#slip === 0;
    if (slips) this.counters.slipped++;
    else this.counters.dropped++;
    return slips ? 'slip' : 'drop';
  }
}

/** Of the asker's address and what is answered; equal answers have equal keys. */
function keyOf(query: Query, { buffer, at, answers }: Reply): number {
  const { words, family } = query.client;
  const code = buffer[at + 3]! & 0xf;
  let what = code;
  if (code === rcode.NOERROR && answers > 0) what = query.hashes[0]! ^ Math.imul(query.type, 0x9e3779b1);
  // Of names that are made up, each is asked for once.
  else if (code === rcode.NOERROR || code === rcode.NXDOMAIN) what = (query.labels > 1 ? query.hashes[1]! : 0) ^ headerBytes;
  let key = Math.imul(words[0]! ^ family, 0x85ebca6b) ^ what;
  if (family === 6) key ^= Math.imul(words[1]!, 0xc2b2ae35);
  key = Math.imul(key ^ (key >>> 15), 0x2c1b3c6d);
  return key ^ (key >>> 13);
}
