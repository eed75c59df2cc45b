import type { Forwarder } from './forward/forwarder.ts';
import { count, type Metrics } from './metrics.ts';
import { ForwardStage, notHere } from './stages/forward.ts';
import { loopDetection } from './stages/loop.ts';
import { refuse } from './stages/refuse.ts';
import { SearchStage, type SearchStageOptions } from './stages/search.ts';
import type { Stage } from './stages/stage.ts';
import { ZoneStage } from './stages/zone.ts';
import { ClientAddress } from './wire/client.ts';
import { flag, rcode, rcodeName } from './wire/constants.ts';
import { ignore, Query, type Transport } from './wire/query.ts';
import { Reply } from './wire/reply.ts';
import type { ZoneAnswerer } from './zone/answer.ts';
import type { Zones } from './zone/zone.ts';

export interface PipelineParts {
  zones: Zones;
  answerer: ZoneAnswerer;
  isSynced: () => boolean;
  forwarder?: Forwarder;
  /** Walks search paths of pods. */
  search?: Pick<SearchStageOptions, 'cluster' | 'lists' | 'onWalk'>;
}

/** The order of the stages. Custom entries, rewrites and rate limits find their place here. */
export function stagesOf({ zones, answerer, isSynced, forwarder, search }: PipelineParts): Stage[] {
  /** What any name goes through, whoever wants to know of it. */
  const names: Stage[] = [
    new ZoneStage({ zones, answerer, isSynced, forwarder }),
    forwarder ? new ForwardStage({ forwarder, answerer, isSynced }) : notHere,
  ];
  return [
    refuse,
    ...(forwarder ? [loopDetection(forwarder.probe)] : []),
    ...(search ? [new SearchStage({ ...search, isSynced, stages: names })] : []),
    ...names,
  ];
}

/** Takes an answer that was not ready at once. The bytes are the receiver's own. */
export type Later = (message: Buffer) => void;

const nobody = new ClientAddress();

/** Answers one message at a time, whatever it came by. */
export class Pipeline {
  readonly #stages: readonly Stage[];
  readonly #metrics: Metrics;
  readonly #query = new Query();
  readonly #reply = new Reply();
  readonly #recursion: boolean;

  constructor(stages: readonly Stage[], metrics: Metrics, { recursionAvailable = false } = {}) {
    this.#stages = stages;
    this.#metrics = metrics;
    this.#recursion = this.#reply.recursionAvailable = recursionAvailable;
  }

  /**
   * @param client who asks; copied where it is kept
   * @param out room for the answer at `outAt`: 1232 bytes over UDP, 65535 over TCP
   * @param later called at most once, when the answer is not ready now (0 is returned then)
   * @returns bytes of the answer; 0 when there is none (yet)
   */
  answer(
    buffer: Uint8Array,
    at: number,
    length: number,
    transport: Transport,
    out: Uint8Array,
    outAt: number,
    later: () => Later,
    client: ClientAddress = nobody,
  ): number {
    const query = this.#query;
    query.client = client;
    const reply = this.#reply;
    const code = query.parse(buffer, at, length, transport);
    if (code === ignore) {
      this.#metrics.ignored++;
      return 0;
    }
    if (transport === 'udp') this.#metrics.queriesUdp++;
    else this.#metrics.queriesTcp++;
    reply.begin(query, out, outAt);
    if (code !== rcode.NOERROR) {
      reply.finish({ rcode: code });
      return this.#counted(reply);
    }
    try {
      for (const stage of this.#stages) {
        const verdict = stage.answer(query, reply);
        if (verdict === 'next') continue;
        if (verdict === 'answered') return this.#counted(reply);
        if (verdict === 'later') void this.#resolve(stage, query.copy(), later());
        return 0;
      }
      reply.finish({ rcode: rcode.REFUSED });
    } catch (error) {
      this.#failed(error, reply);
    }
    return this.#counted(reply);
  }

  async #resolve(stage: Stage, query: Query, later: Later): Promise<void> {
    const reply = new Reply();
    reply.recursionAvailable = this.#recursion;
    reply.begin(query, Buffer.allocUnsafe(query.limit), 0);
    try {
      await stage.resolve!(query, reply);
    } catch (error) {
      this.#failed(error, reply);
    }
    later(Buffer.from(reply.buffer.subarray(0, this.#counted(reply))));
  }

  /** No question may end the process (T32); the fault is counted and told once in a while. */
  #failed(error: unknown, reply: Reply): void {
    if (this.#metrics.faults++ % 1000 === 0) console.error('dns: a fault while answering:', error);
    reply.restart();
    reply.finish({ rcode: rcode.SERVFAIL });
  }

  #counted(reply: Reply): number {
    const flags = (reply.buffer[reply.at + 2]! << 8) | reply.buffer[reply.at + 3]!;
    count(this.#metrics.responses, rcodeName(flags & 0xf));
    if (flags & flag.TC) this.#metrics.truncated++;
    return reply.length;
  }
}
