import type { Custom } from './custom/custom.ts';
import type { Forwarder } from './forward/forwarder.ts';
import type { Limits } from './limits/limits.ts';
import type { Metrics } from './metrics.ts';
import type { LogTap } from './monitoring/log-tap.ts';
import { hostsStage, RewriteStage } from './stages/custom.ts';
import { ForwardStage, notHere } from './stages/forward.ts';
import { loopDetection } from './stages/loop.ts';
import { refuse } from './stages/refuse.ts';
import { SearchStage, type SearchStageOptions } from './stages/search.ts';
import type { Stage } from './stages/stage.ts';
import { ZoneStage } from './stages/zone.ts';
import { ClientAddress } from './wire/client.ts';
import { rcode } from './wire/constants.ts';
import { ignore, Query, type Transport } from './wire/query.ts';
import { Reply } from './wire/reply.ts';
import type { ZoneAnswerer } from './zone/answer.ts';
import type { Zones } from './zone/zone.ts';

export interface PipelineParts {
  zones: Zones;
  answerer: ZoneAnswerer;
  isSynced: () => boolean;
  forwarder?: Forwarder;
  /** Entries set by hand. */
  custom?: Custom;
  /** Walks search paths of pods. */
  search?: Pick<SearchStageOptions, 'cluster' | 'lists' | 'onWalk'>;
}

/** The order of the stages. Limits come before all of them. */
export function stagesOf({ zones, answerer, isSynced, forwarder, search, custom }: PipelineParts): Stage[] {
  const known: Stage[] = [
    ...(custom ? [hostsStage(custom)] : []),
    new ZoneStage({ zones, answerer, isSynced, forwarder }),
    forwarder ? new ForwardStage({ forwarder, answerer, isSynced }) : notHere,
  ];
  /** What any name goes through, whoever wants to know of it. */
  const names: Stage[] = [...(custom ? [new RewriteStage(custom, known)] : []), ...known];
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
/** In place of the index of a stage. */
const none = -2;

/** Answers one message at a time, whatever it came by. */
export class Pipeline {
  readonly #stages: readonly Stage[];
  readonly #metrics: Metrics;
  readonly #query = new Query();
  readonly #reply = new Reply();
  readonly #recursion: boolean;
  readonly #log: LogTap | undefined;
  readonly #limits: Limits | undefined;

  constructor(
    stages: readonly Stage[],
    metrics: Metrics,
    { recursionAvailable = false, log, limits }: { recursionAvailable?: boolean; log?: LogTap; limits?: Limits } = {},
  ) {
    this.#stages = stages;
    this.#metrics = metrics;
    this.#log = log;
    this.#limits = limits;
    metrics.traffic.begin(stages.map(({ name }) => name));
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
    const { traffic } = this.#metrics;
    traffic.request(query, client);
    const beganMs = this.#log?.isRead ? performance.now() : 0;
    reply.begin(query, out, outAt);
    let stage = -1;
    if (this.#limits && !this.#limits.answers(client)) {
      // Over UDP the address may be somebody else's.
      if (transport === 'udp') return 0;
      reply.finish({ rcode: rcode.REFUSED });
    } else if (code !== rcode.NOERROR) reply.finish({ rcode: code });
    else {
      try {
        stage = this.#ask(query, reply, later);
        if (stage === none) return 0;
      } catch (error) {
        this.#failed(error, reply);
      }
    }
    traffic.response(query, reply, stage);
    if (beganMs > 0) this.#log!.note(query, reply, this.#stages[stage]?.name, beganMs);
    return this.#limited(query, reply);
  }

  /** @returns which stage answered; -1 when none did, `none` when there is no answer (yet) */
  #ask(query: Query, reply: Reply, later: () => Later): number {
    const stages = this.#stages;
    for (let i = 0; i < stages.length; i++) {
      const verdict = stages[i]!.answer(query, reply);
      if (verdict === 'next') continue;
      if (verdict === 'answered') return i;
      if (verdict === 'later') void this.#resolve(i, query.copy(), later());
      return none;
    }
    reply.finish({ rcode: rcode.REFUSED });
    return -1;
  }

  async #resolve(stage: number, query: Query, later: Later): Promise<void> {
    const beganMs = performance.now();
    const reply = new Reply();
    reply.recursionAvailable = this.#recursion;
    reply.begin(query, Buffer.allocUnsafe(query.limit), 0);
    try {
      await this.#stages[stage]!.resolve!(query, reply);
    } catch (error) {
      this.#failed(error, reply);
    }
    this.#metrics.traffic.responseLater(query, reply, stage, beganMs);
    if (this.#log?.isRead) this.#log.note(query, reply, this.#stages[stage]!.name, beganMs);
    later(Buffer.from(reply.buffer.subarray(0, this.#limited(query, reply))));
  }

  /** @returns bytes to send of a finished answer: all, none, or as many as say that it is to be had over TCP */
  #limited(query: Query, reply: Reply): number {
    const ruling = this.#limits?.judge(query, reply) ?? 'send';
    if (ruling === 'send') return reply.length;
    if (ruling === 'drop') return 0;
    reply.restart();
    reply.truncated = true;
    return reply.finish({ rcode: rcode.NOERROR });
  }

  /** No question may end the process (T32); the fault is counted and told once in a while. */
  #failed(error: unknown, reply: Reply): void {
    if (this.#metrics.faults++ % 1000 === 0) console.error('dns: a fault while answering:', error);
    reply.restart();
    reply.finish({ rcode: rcode.SERVFAIL });
  }
}
