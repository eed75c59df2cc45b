import type { Socket } from 'node:net';
import type { ContainerSpec } from '../container.ts';
import { type Ends, endpointText, plainAddress } from './identity.ts';
import type { StandInLog } from './log.ts';

/** The container that a connection belongs to: protocol servers are shared by all stand-ins of the process. */
export interface Owner {
  readonly spec: ContainerSpec;
  readonly log: StandInLog;
}

/** A symbol passes through the proxy that node:http2 puts around its sockets; a WeakMap would not know the proxy. */
const owner = Symbol('owner of the connection');
const outer = Symbol('the connection that carries it');
interface Owned extends Socket {
  [owner]?: Owner;
  [outer]?: Socket;
}

/** @param carrier the TCP connection, when `socket` is a TLS stream in it */
export function setOwner(socket: Socket, value: Owner, carrier: Socket = socket): void {
  (socket as Owned)[owner] = value;
  (socket as Owned)[outer] = carrier;
}

export const outerOf = (socket: Socket): Socket => (socket as Owned)[outer] ?? socket;

export const ownerOf = (socket: Socket): Owner | undefined => (socket as Owned)[owner];

export function endsOf(socket: Socket, protocol: string): Ends {
  return {
    protocol,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    clientAddress: plainAddress(socket.remoteAddress),
    clientPort: socket.remotePort ?? 0,
  };
}

export const clientText = ({ clientAddress, clientPort }: Ends): string => endpointText(clientAddress, clientPort);
