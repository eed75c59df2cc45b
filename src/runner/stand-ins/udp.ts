import { createSocket, type Socket } from 'node:dgram';
import { plainAddress, standInMark, whoAmILine } from './identity.ts';
import { clientText, type Owner } from './owner.ts';

const mark = Buffer.from(standInMark);

/** Answers datagrams with a line that says who it is, and what came. Takes over a bound socket. */
export function serveUdp(fd: number, port: number, owner: Owner): Socket {
  const socket = createSocket('udp6');
  const localAddress = owner.spec.podIPs[0] ?? '';
  socket.on('message', (payload, from) => {
    // Two stand-ins, brought together by a forged source address, would answer each other for ever.
    if (payload.subarray(0, mark.length).equals(mark)) return;
    const ends = {
      protocol: 'UDP',
      localAddress,
      localPort: port,
      clientAddress: plainAddress(from.address),
      clientPort: from.port,
    };
    const family = ends.clientAddress.includes(':');
    const own = owner.spec.podIPs.find((address) => address.includes(':') === family) ?? localAddress;
    const line = Buffer.from(`${whoAmILine(owner.spec, { ...ends, localAddress: own })}\n`);
    // An answer that cannot be sent is lost, as datagrams are.
    socket.send(Buffer.concat([line, payload]), from.port, from.address, () => {});
    owner.log.request(() => `${clientText(ends)} UDP datagram of ${payload.length} bytes, answered`);
  });
  socket.on('error', () => {});
  socket.bind({ fd });
  return socket;
}
