import dgram from 'node:dgram';
import { closeSync } from 'node:fs';
import { DatagramBatch, sendDatagram } from '../../kernel/datagrams.ts';
import { KernelError } from '../../kernel/errors.ts';
import { duplicate } from '../../kernel/pass-fds.ts';
import { sockaddr } from '../../kernel/sockaddr.ts';
import { localEndpoint } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import type { Metrics } from '../metrics.ts';
import type { Later, Pipeline } from '../pipeline.ts';
import { ClientAddress } from '../wire/client.ts';
import { ednsUdpBytes } from '../wire/constants.ts';
import { type Service, UnderWay } from './service.ts';

/** A question larger than this is none. */
const receiveBytes = 1232;
/** After so many batches other work of the process gets its turn: TCP, changes of the zone. */
const mostBatches = 16;

/**
 * Answers on one UDP socket. libuv tells of the first datagram of a burst; the rest of it is taken and answered in batches with recvmmsg and sendmmsg,
 * which costs a third of one by one. One socket for each address: answers leave from the address that was asked.
 */
export class UdpService implements Service {
  readonly #fd: number;
  readonly #ipv4: boolean;
  readonly #pipeline: Pipeline;
  readonly #metrics: Metrics;
  readonly #batch = new DatagramBatch({ count: 64, receiveBytes, sendBytes: ednsUdpBytes });
  readonly #client = new ClientAddress();
  readonly #first = Buffer.alloc(ednsUdpBytes);
  readonly #underWay = new UnderWay();
  #socket: dgram.Socket | undefined;
  #closed = false;

  /** @param fd non-blocking; owned from now on */
  constructor(fd: number, pipeline: Pipeline, metrics: Metrics) {
    this.#fd = fd;
    this.#ipv4 = localEndpoint(fd).address.family === 'ipv4';
    this.#pipeline = pipeline;
    this.#metrics = metrics;
  }

  start(): void {
    if (this.#socket || this.#closed) return;
    const family = this.#ipv4 ? 4 : 6;
    const socket = dgram.createSocket({
      type: `udp${family}`,
      lookup: (host, _, callback) => callback(null, host, family),
    });
    socket.on('message', (datagram, from) => this.#answerFirst(socket, datagram, from));
    // Answers to askers that are gone come back as errors; there is nothing to do about them.
    socket.on('error', () => {});
    // libuv closes what it is given.
    socket.bind({ fd: duplicate(this.#fd), exclusive: true });
    this.#socket = socket;
  }

  stop(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  drained(): Promise<void> {
    return this.#underWay.none();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.stop();
    this.#closed = true;
    closeSync(this.#fd);
  }

  #answerFirst(socket: dgram.Socket, datagram: Buffer, { port, address }: dgram.RemoteInfo): void {
    const send = (message: Buffer): void => {
      if (this.#socket) this.#socket.send(message, port, address, () => {});
      else this.#sendAfterStop(message, address, port);
    };
    this.#client.setText(address);
    const later = (): Later => this.#later(send);
    const length = this.#pipeline.answer(datagram, 0, datagram.length, 'udp', this.#first, 0, later, this.#client);
    // A copy: the kernel may take it only when its buffer has room again.
    if (length > 0) send(Buffer.from(this.#first.subarray(0, length)));
    try {
      if (this.#socket === socket) this.#drain();
    } catch (error) {
      // The socket's pending error, or no memory for answers: that batch is lost, as datagrams may be. The next is another matter.
      if (!(error instanceof KernelError)) throw error;
      this.#metrics.udpErrors++;
    }
  }

  #sendAfterStop(message: Buffer, address: string, port: number): void {
    // A link-local asker, with its link behind the address, asks again.
    const to = IpAddr.tryParse(address);
    if (to) sendDatagram(this.#fd, message, sockaddr(to, port));
  }

  #drain(): void {
    const [batch, client] = [this.#batch, this.#client];
    for (let round = 0; round < mostBatches; round++) {
      const received = batch.receive(this.#fd);
      for (let i = 0; i < received; i++) {
        if (batch.truncated(i)) continue;
        const later = (): Later => {
          const to = batch.senderCopy(i);
          return this.#later((message) => sendDatagram(this.#fd, message, to));
        };
        if (this.#ipv4) client.setIpv4(batch.senders, batch.senderAt(i) + 4);
        else client.setIpv6(batch.senders, batch.senderAt(i) + 8);
        const [at, size] = [batch.requestAt(i), batch.requestLength(i)];
        const length = this.#pipeline.answer(batch.request, at, size, 'udp', batch.reply, batch.replyAt(), later, client);
        if (length > 0) batch.push(i, length);
      }
      if (batch.pending > 0) batch.send(this.#fd);
      if (received < batch.count) return;
    }
  }

  #later(send: (message: Buffer) => void): Later {
    this.#underWay.begin();
    return (message) => {
      if (!this.#closed && message.length > 0) send(message);
      this.#underWay.end();
    };
  }
}
