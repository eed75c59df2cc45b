import { newMetrics } from '../metrics.ts';
import { answer, type RecordText } from './message.ts';
import { rrType } from '../wire/constants.ts';
import { parseName } from '../wire/names.ts';
import { Forwarder } from '../forward/forwarder.ts';
import type { UpstreamOptions } from '../forward/options.ts';

/** For tests of this folder: a question, an answer to it, and a forwarder whose clock can be set. */
export const name = 'www.example.com';
export const asked = { name: parseName(name), type: rrType.A };
export const address: RecordText = { name, type: 'A', data: '192.0.2.1' };
export const soa: RecordText = { name: 'example.com', type: 'SOA', ttl: 20, data: '11' };

/** One address for every question of type A, nothing for others. */
export const positive = (request: Buffer, { name: of, type }: { name: string; type: string }): Buffer =>
  answer(request, type === 'A' ? { answers: [{ ...address, name: of }] } : {});

export class TestForwarder extends Forwarder {
  readonly metrics: ReturnType<typeof newMetrics>;
  readonly clock: { aheadMs: number };

  constructor(upstream: UpstreamOptions, rest: { own?: string[]; isOwn?: (name: string) => boolean } = {}) {
    const clock = { aheadMs: 0 };
    const metrics = newMetrics();
    super({ upstream, metrics, now: () => performance.now() + clock.aheadMs, ...rest });
    this.clock = clock;
    this.metrics = metrics;
  }

  /** `rcode` and data of the answer; what a stale one is told to hold. */
  async said(question = asked): Promise<string> {
    const served = await this.ask(question);
    return served ? `${served.answer.rcode} ${served.answer.answers}${served.age < 0 ? ' stale' : ''}` : 'none';
  }
}

/** Waits until it is so. @throws after ten seconds */
export async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    if (i === 1000) throw new Error(`not so after ten seconds: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
