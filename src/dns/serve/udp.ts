import { closeSync } from 'node:fs';
import { DatagramBatch, sendDatagram } from '../../kernel/datagrams.ts';
import { KernelError } from '../../kernel/errors.ts';
import { type ReadableWatch, watchReadable } from '../../kernel/readiness.ts';
import { localEndpoint } from '../../kernel/sockets.ts';
import type { Metrics } from '../metrics.ts';
import type { Later, Pipeline } from '../pipeline.ts';
import { ClientAddress } from '../wire/client.ts';
import { ednsUdpBytes } from '../wire/constants.ts';
import { type Service, UnderWay } from './service.ts';

/** A question larger than this is none. */
const receiveBytes = 1232;
/** After so many batches other work of the process gets its turn: TCP, changes of the zone. */
const mostBatches = 16;
const many = 4;

/**
 * Answers on one UDP socket. libuv tells that there is something; it is taken and answered in batches with recvmmsg and sendmmsg, which costs a third of one by
 * one. One socket for each address: answers leave from the address that was asked.
 */
export class UdpService implements Service {
  readonly #fd: number;
  readonly #ipv4: boolean;
  readonly #pipeline: Pipeline;
  readonly #metrics: Metrics;
  readonly #batch = new DatagramBatch({ count: 64, receiveBytes, sendBytes: ednsUdpBytes });
  readonly #client = new ClientAddress();
  readonly #underWay = new UnderWay();
  #watch: ReadableWatch | undefined;
  #closed = false;
  /** The datagram that is being answered, and what takes its answer if that is not ready; one function for all. */
  #at = 0;
  readonly #laterOne = (): Later => this.#later(this.#batch.senderCopy(this.#at));

  /** @param fd non-blocking; owned from now on */
  constructor(fd: number, pipeline: Pipeline, metrics: Metrics) {
    this.#fd = fd;
    this.#ipv4 = localEndpoint(fd).address.family === 'ipv4';
    this.#pipeline = pipeline;
    this.#metrics = metrics;
  }

  start(): void {
    if (this.#watch || this.#closed) return;
    this.#watch = watchReadable(this.#fd, () => this.#answer());
  }

  stop(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
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

  #answer(): void {
    try {
      this.#drain();
    } catch (error) {
      // The socket's pending error (answers to askers that are gone come back as such), or no memory for answers: that batch is lost, as datagrams may be.
      if (!(error instanceof KernelError)) throw error;
      this.#metrics.udpErrors++;
    }
  }

  #drain(): void {
    const [batch, client] = [this.#batch, this.#client];
    for (let round = 0; round < mostBatches; round++) {
      const received = batch.receive(this.#fd);
      for (let i = 0; i < received; i++) {
        if (batch.truncated(i)) continue;
        this.#at = i;
        if (this.#ipv4) client.setIpv4(batch.senders, batch.senderAt(i) + 4);
        else client.setIpv6(batch.senders, batch.senderAt(i) + 8);
        const [at, size] = [batch.requestAt(i), batch.requestLength(i)];
        const length = this.#pipeline.answer(batch.request, at, size, 'udp', batch.reply, batch.replyAt(), this.#laterOne, client);
        if (length > 0) batch.push(i, length);
      }
      if (batch.pending > 0) batch.send(this.#fd);
      // Of many some more have come meanwhile: asking for them costs less than being told of them.
      if (received < many) return;
    }
  }

  #later(to: Buffer): Later {
    this.#underWay.begin();
    return (message) => {
      if (!this.#closed && message.length > 0) sendDatagram(this.#fd, message, to);
      this.#underWay.end();
    };
  }
}
