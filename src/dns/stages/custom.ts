import type { Custom } from '../custom/custom.ts';
import { type Rewritten, turned } from '../custom/rewrite.ts';
import { flag, rcode, rrType } from '../wire/constants.ts';
import type { RecordAt } from '../wire/message.ts';
import { formatName, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import { copyRecords } from '../wire/relocate.ts';
import { questionName, type Reply } from '../wire/reply.ts';
import { Detour, type DetourAnswer } from './detour.ts';
import type { Stage, Verdict } from './stage.ts';

/** Entries set by hand come before the cluster's names. */
export const hostsStage = (custom: Custom): Stage => ({
  name: 'hosts',
  answer(query, reply) {
    const { hosts } = custom;
    return hosts?.answer(query, reply) ? 'answered' : 'next';
  },
});

/**
 * Names that are answered under another name: the stages behind are asked for that one, and what they say comes back under the name that was asked for, as
 * resolvers want it.
 */
export class RewriteStage implements Stage {
  readonly name = 'rewrite';
  readonly #custom: Custom;
  readonly #detour: Detour;
  /** From `answer` to `resolve`, which follows in the same turn. */
  #waiting: { rewritten: Rewritten; found: Promise<DetourAnswer> } | undefined;

  constructor(custom: Custom, stages: readonly Stage[]) {
    this.#custom = custom;
    this.#detour = new Detour(stages);
  }

  answer(query: Query, reply: Reply): Verdict {
    const { rewrites } = this.#custom;
    const rewritten = rewrites && rewrites.size > 0 ? rewrites.apply(query.name()) : undefined;
    if (!rewritten) return 'next';
    query.trace?.({ stage: 'rewrite', text: `${formatName(rewritten.name)} by ${rewritten.rule}` });
    const found = this.#detour.ask(query, rewritten.name);
    if (found instanceof Promise) {
      this.#waiting = { rewritten, found };
      return 'later';
    }
    finish(reply, rewritten, found);
    return 'answered';
  }

  async resolve(_: Query, reply: Reply): Promise<void> {
    const { rewritten, found } = this.#waiting!;
    this.#waiting = undefined;
    finish(reply, rewritten, await found);
  }
}

function finish(reply: Reply, { name, owner, target }: Rewritten, found: DetourAnswer): void {
  if (found.rcode === rcode.SERVFAIL) {
    reply.finish({ rcode: rcode.SERVFAIL });
    return;
  }
  const message = found.read();
  copyRecords(reply, message, {
    known: new Map<WireName, number>(),
    owner: (of) => (of === name ? questionName : turned(of, owner)),
    ...(target.length > 0 ? { data: (record: RecordAt, data: string) => targetTurned(record, data, target) } : {}),
  });
  reply.finish({ rcode: found.rcode, authoritative: (message.flags & flag.AA) !== 0 });
}

/** Bytes before the name in the data. */
const nameAt = new Map<number, number>([[rrType.CNAME, 0], [rrType.PTR, 0], [rrType.NS, 0], [rrType.DNAME, 0], [rrType.MX, 2], [rrType.SRV, 6]]);

function targetTurned({ type }: RecordAt, data: string, turns: Rewritten['target']): string {
  const at = nameAt.get(type);
  return at === undefined ? data : data.slice(0, at) + turned(data.slice(at), turns);
}
