import dgram from 'node:dgram';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { count } from '../metrics.ts';
import { ednsUdpBytes } from '../wire/constants.ts';
import type { Message, Question } from '../wire/message.ts';
import { flag } from '../wire/constants.ts';
import type { ForwardCounters } from './counters.ts';
import { ExchangeError, reasonOf } from './errors.ts';
import { judge } from './judge.ts';
import { encodeRequest, randomCase, randomId } from './request.ts';
import { type Upstream, upstreamText } from './target.ts';

/** What all exchanges share. */
export interface Surroundings {
  /** Where sockets are born: resolvers such as 127.0.0.53 exist in the host's namespace only. */
  netns?: NetNs;
  counters: ForwardCounters;
  /** What ends exchanges that are under way; each adds itself while it lasts. */
  underWay: Set<() => void>;
}

export interface UdpOptions {
  timeoutMs: number;
  /** The resolver keeps the case of names (0x20). */
  keepsCase: boolean;
  edns: boolean;
}

/** After so many wrong ids somebody is guessing (T30). */
const mostStrays = 8;

/** Why a question must be asked again over TCP: the answer was cut, or may be forged. */
export type OverTcp = 'truncated' | 'oversized' | 'case' | 'malformed' | 'guessing';

/**
 * Asks over UDP: a socket and so a random port for each question (T30); connected, so that only what comes from the resolver's own address and port is
 * received, and its ICMP errors.
 * @throws ExchangeError
 */
export function askUdp(
  upstream: Upstream,
  question: Question,
  { timeoutMs, keepsCase, edns }: UdpOptions,
  { netns, counters, underWay }: Surroundings,
): Promise<Message | OverTcp> {
  const { address, port } = upstream;
  const text = upstreamText(upstream);
  return new Promise((resolve, reject) => {
    const family = address.family === 'ipv4' ? 4 : 6;
    const socket = dgram.createSocket({ type: `udp${family}`, lookup: (host, _, callback) => callback(null, host, family) });
    const request = encodeRequest(question, { id: randomId(), name: keepsCase ? randomCase(question.name) : undefined, edns });
    let strays = 0;
    const end = (): void => {
      clearTimeout(timer);
      underWay.delete(cancel);
      socket.removeAllListeners();
      // A late error must not end the process.
      socket.on('error', () => {});
      socket.close();
    };
    const fail = (reason: string, cause?: unknown): void => {
      end();
      reject(new ExchangeError(text, reason, { cause }));
    };
    const succeed = (result: Message | OverTcp): void => {
      end();
      resolve(result);
    };
    const timer = setTimeout(() => fail('timeout'), timeoutMs);
    const cancel = (): void => fail('closed');
    underWay.add(cancel);
    socket.on('error', (error) => fail(reasonOf(error), error));
    socket.on('message', (datagram) => {
      const judged = judge(request, question, datagram, !keepsCase);
      if ('stray' in judged) {
        count(counters.strays, judged.stray);
        if (++strays >= mostStrays) succeed('guessing');
      } else if ('doubt' in judged) {
        count(counters.strays, judged.doubt);
        succeed(judged.doubt);
      } else if (judged.message.flags & flag.TC) succeed('truncated');
      // More than was asked for came in pieces, and pieces can be exchanged underway.
      else if (datagram.length > ednsUdpBytes) succeed('oversized');
      else succeed(judged.message);
    });
    // Before bind, which tells of itself at once when it is given a descriptor.
    socket.once('listening', () => socket.connect(port, String(address)));
    socket.once('connect', () => socket.send(request));
    try {
      socket.bind({ fd: bindUdp(netns, IpAddr.unspecified(address.family), 0), exclusive: true });
    } catch (error) {
      fail(reasonOf(error), error);
    }
  });
}
