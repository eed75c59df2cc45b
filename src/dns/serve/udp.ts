import dgram from 'node:dgram';
import { once } from 'node:events';
import { DatagramBatch } from '../../kernel/datagrams.ts';
import { KernelError } from '../../kernel/errors.ts';
import { localEndpoint } from '../../kernel/sockets.ts';
import type { Metrics } from '../metrics.ts';
import type { Later, Pipeline } from '../pipeline.ts';
import { ClientAddress } from '../wire/client.ts';
import { ednsUdpBytes } from '../wire/constants.ts';

/** A question larger than this is none. */
const receiveBytes = 1232;
/** After so many batches other work of the process gets its turn: TCP, changes of the zone. */
const mostBatches = 16;

/**
 * Answers on one UDP socket. libuv tells of the first datagram of a burst; the rest of it is taken and answered in batches with recvmmsg and sendmmsg,
 * which costs a third of one by one. One socket for each address: answers leave from the address that was asked.
 * @param fd non-blocking; owned from now on
 */
export async function serveUdp(fd: number, pipeline: Pipeline, metrics: Metrics): Promise<AsyncDisposable> {
  const ipv4 = localEndpoint(fd).address.family === 'ipv4';
  const socket = dgram.createSocket({
    type: ipv4 ? 'udp4' : 'udp6',
    lookup: (host, _, callback) => callback(null, host, ipv4 ? 4 : 6),
  });
  let open = true;
  const sendTo =
    (port: number, address: string): Later =>
    (message) => {
      if (open) socket.send(message, port, address, () => {});
    };
  const batch = new DatagramBatch({ count: 64, receiveBytes, sendBytes: ednsUdpBytes });
  const client = new ClientAddress();
  const first = Buffer.alloc(ednsUdpBytes);

  const drain = (): void => {
    for (let round = 0; round < mostBatches; round++) {
      const received = batch.receive(fd);
      for (let i = 0; i < received; i++) {
        if (batch.truncated(i)) continue;
        const later = (): Later => {
          const { port, address } = batch.sender(i);
          return sendTo(port, String(address));
        };
        if (ipv4) client.setIpv4(batch.senders, batch.senderAt(i) + 4);
        else client.setIpv6(batch.senders, batch.senderAt(i) + 8);
        const [at, size] = [batch.requestAt(i), batch.requestLength(i)];
        const length = pipeline.answer(batch.request, at, size, 'udp', batch.reply, batch.replyAt(), later, client);
        if (length > 0) batch.push(i, length);
      }
      if (batch.pending > 0) batch.send(fd);
      if (received < batch.count) return;
    }
  };

  socket.on('message', (datagram, { port, address }) => {
    const send = sendTo(port, address);
    client.setText(address);
    const length = pipeline.answer(datagram, 0, datagram.length, 'udp', first, 0, () => send, client);
    // A copy: the kernel may take it only when its buffer has room again.
    if (length > 0) send(Buffer.from(first.subarray(0, length)));
    try {
      drain();
    } catch (error) {
      // The socket's pending error, or no memory for answers: that batch is lost, as datagrams may be. The next is another matter.
      if (!(error instanceof KernelError)) throw error;
      metrics.udpErrors++;
    }
  });
  // Answers to askers that are gone come back as errors; there is nothing to do about them.
  socket.on('error', () => {});
  const listening = once(socket, 'listening');
  socket.bind({ fd, exclusive: true });
  await listening;
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      open = false;
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
