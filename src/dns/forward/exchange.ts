import dgram from 'node:dgram';
import type { Socket } from 'node:net';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { flag } from '../wire/constants.ts';
import { answersQuestion, encodeQuery, type Message, parseMessage, type Question } from '../wire/message.ts';
import { type Upstream, upstreamText } from './upstreams.ts';

/** A try that failed; `reason` is a short name for counters. */
export class ExchangeError extends Error {
  readonly reason: string;

  constructor(upstream: Upstream, reason: string, options?: ErrorOptions) {
    super(`resolver ${upstreamText(upstream)}: ${reason}`, options);
    this.name = 'ExchangeError';
    this.reason = reason;
  }
}

export interface ExchangeOptions {
  /** Where sockets are born: resolvers such as 127.0.0.53 exist in the host's namespace only. */
  netns?: NetNs;
  timeoutMs: number;
  /** What ends exchanges that are under way; each adds itself while it lasts. */
  underWay?: Set<() => void>;
}

/** Asks one resolver over UDP, and over TCP when the answer did not fit. @throws ExchangeError */
export async function exchange(upstream: Upstream, question: Question, options: ExchangeOptions): Promise<Message> {
  const deadline = performance.now() + options.timeoutMs;
  const message = await exchangeUdp(upstream, question, options);
  if (!(message.flags & flag.TC)) return message;
  return exchangeTcp(upstream, question, { ...options, timeoutMs: Math.max(deadline - performance.now(), 100) });
}

/** A socket and so a random port for each question (T30); connected, so that only the resolver's own packets come in, and its ICMP errors. */
function exchangeUdp(upstream: Upstream, question: Question, { netns, timeoutMs, underWay }: ExchangeOptions): Promise<Message> {
  const { address, port } = upstream;
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket({
      type: address.family === 'ipv4' ? 'udp4' : 'udp6',
      lookup: (host, _, callback) => callback(null, host, address.family === 'ipv4' ? 4 : 6),
    });
    const request = encodeQuery(question);
    const end = (result: Message | ExchangeError): void => {
      clearTimeout(timer);
      underWay?.delete(cancel);
      socket.removeAllListeners();
      // A late error must not end the process.
      socket.on('error', () => {});
      socket.close();
      if (result instanceof ExchangeError) reject(result);
      else resolve(result);
    };
    const fail = (error: NodeJS.ErrnoException): void => end(new ExchangeError(upstream, reasonOf(error), { cause: error }));
    const timer = setTimeout(() => end(new ExchangeError(upstream, 'timeout')), timeoutMs);
    const cancel = (): void => end(new ExchangeError(upstream, 'closed'));
    underWay?.add(cancel);
    socket.on('error', fail);
    socket.on('message', (datagram) => {
      const message = answerTo(request.readUInt16BE(0), question, datagram);
      // What does not answer this question was not asked for: the right answer may still come.
      if (message) end(message);
    });
    // Before bind, which tells of itself at once when it is given a descriptor.
    socket.once('listening', () => socket.connect(port, String(address)));
    socket.once('connect', () => socket.send(request));
    try {
      socket.bind({ fd: bindUdp(netns, IpAddr.unspecified(address.family), 0), exclusive: true });
    } catch (error) {
      fail(error as NodeJS.ErrnoException);
    }
  });
}

async function exchangeTcp(
  upstream: Upstream,
  question: Question,
  { netns, timeoutMs, underWay }: ExchangeOptions,
): Promise<Message> {
  const began = performance.now();
  let socket: Socket;
  try {
    socket = await connectTcp(netns, upstream.address, upstream.port, { timeoutMs });
  } catch (error) {
    throw new ExchangeError(upstream, `tcp ${(error as { errno?: string }).errno ?? 'error'}`, { cause: error });
  }
  const request = encodeQuery(question);
  const left = Math.max(timeoutMs - (performance.now() - began), 100);
  const timer = setTimeout(() => socket.destroy(new Error('timeout')), left);
  const cancel = (): void => void socket.destroy(new Error('closed'));
  underWay?.add(cancel);
  try {
    socket.write(Buffer.concat([Buffer.of(request.length >> 8, request.length & 0xff), request]));
    let received: Buffer = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) continue;
      const message = answerTo(request.readUInt16BE(0), question, received.subarray(2, 2 + received.readUInt16BE(0)));
      if (message) return message;
      throw new ExchangeError(upstream, 'tcp mismatch');
    }
    throw new ExchangeError(upstream, 'tcp closed');
  } catch (error) {
    if (error instanceof ExchangeError) throw error;
    throw new ExchangeError(upstream, `tcp ${reasonOf(error as NodeJS.ErrnoException)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    underWay?.delete(cancel);
    socket.destroy();
  }
}

/** The parsed answer when it is well-formed and to this question, in memory of its own. */
function answerTo(id: number, question: Question, datagram: Buffer): Message | undefined {
  try {
    const message = parseMessage(datagram);
    return answersQuestion(message, id, question) ? message : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const reasonOf = (error: NodeJS.ErrnoException & { errno?: unknown }): string =>
  error.code ?? (typeof error.errno === 'string' ? error.errno : error.message);
