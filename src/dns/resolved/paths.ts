import type { Writable } from 'node:stream';
import type { Answerer } from '../../unix/http.ts';
import type { Answer } from '../forward/answer.ts';
import type { ResolvedNames } from './resolved-names.ts';

/** A reader that leaves so much unread is ended: it asks anew, and is told all again. */
const mostUnread = 4 << 20;

/** On the health socket: `/resolved/` with what is wanted, a stream; `/resolved-seen/` with what was put in force. Both as JSON. */
export const resolvedPaths = (names: ResolvedNames, known: () => Iterable<readonly [Answer, number]>): Record<string, Answerer> => ({
  '/resolved/': (below) => {
    const { id, patterns } = JSON.parse(below) as { id?: unknown; patterns?: unknown };
    if (typeof id !== 'string' || !Array.isArray(patterns) || !patterns.every((one) => typeof one === 'string'))
      return { code: 400, body: 'say who asks and for which names: {"id": "me", "patterns": ["*.example.com"]}' };
    return { stream: (out) => stream(out, names, { id, patterns: patterns as string[] }, known) };
  },
  '/resolved-seen/': (below) => {
    const { id, seq } = JSON.parse(below) as { id?: unknown; seq?: unknown };
    if (typeof id !== 'string' || !Number.isInteger(seq)) return { code: 400, body: 'say who has seen what: {"id": "me", "seq": 7}' };
    names.seen(id, seq as number);
    return { body: { seen: seq } };
  },
});

function stream(out: Writable, names: ResolvedNames, wanted: { id: string; patterns: string[] }, known: () => Iterable<readonly [Answer, number]>): void {
  const say = (line: object): void => {
    if (out.writableLength > mostUnread) out.destroy();
    else out.write(`${JSON.stringify(line)}\n`);
  };
  const reading = names.read({ ...wanted, take: say }, known());
  out.on('close', () => reading[Symbol.dispose]());
  say({ synced: true });
}
