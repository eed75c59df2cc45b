import { performance } from 'node:perf_hooks';
import { flag, rcode, rcodeName, rrType } from '../dns/wire/constants.ts';
import { answersQuestion, dataOf, encodeQuery, type Message, parseMessage } from '../dns/wire/message.ts';
import { parseName } from '../dns/wire/names.ts';
import type { NetNs } from '../kernel/netns.ts';
import { ProbeSocket } from '../kernel/probes.ts';
import { type Family, IpAddr } from '../net/ip.ts';

export const addressRecord = { ipv4: 'A', ipv6: 'AAAA' } as const satisfies Record<Family, string>;

/** What a name server said; `failed` when nothing that could be used came. */
export type LookupAnswer = { addresses: IpAddr[]; rcode: string; truncated: boolean } | { failed: string };

const domain = 53;

/** One question over UDP from inside a namespace. Not asked twice. */
export async function lookUp(ns: NetNs, server: IpAddr, name: string, family: Family, timeoutMs: number): Promise<LookupAnswer> {
  const question = { name: parseName(name), type: rrType[addressRecord[family]] };
  const query = encodeQuery(question);
  using socket = ProbeSocket.udp(ns, server.family);
  socket.send(query, server, domain);
  const end = performance.now() + timeoutMs;
  for (;;) {
    const error = socket.receiveError();
    if (error) return { failed: `${error.errno}, said by ${error.offender ?? 'this kernel'}: nobody answers on port ${domain}` };
    const got = socket.receive();
    if (!got) {
      const left = end - performance.now();
      if (left <= 0) return { failed: `no answer from ${server} in ${timeoutMs} ms` };
      await socket.ready(Math.ceil(left));
      continue;
    }
    if (!got.address.equals(server)) return { failed: `answered from ${got.address}, not from ${server}` };
    try {
      const message = parseMessage(got.data);
      if (answersQuestion(message, query.readUInt16BE(0), question)) return answerOf(message, question.type);
    } catch (error) {
      return { failed: `a malformed answer: ${(error as Error).message}` };
    }
  }
}

function answerOf(message: Message, type: number): LookupAnswer {
  const addresses = message.records
    .filter((record) => record.section === 'answer' && record.type === type)
    .map((record) => IpAddr.fromBytes(Buffer.from(dataOf(message, record), 'latin1')));
  const { flags } = message;
  return { addresses, rcode: rcodeName(message.rcode), truncated: (flags & flag.TC) !== 0 };
}

export const isThere = ({ rcode: name }: { rcode: string }): boolean => name === rcodeName(rcode.NOERROR);
