import type { Family } from '../net/ip.ts';
import { check } from './errors.ts';
import { sys } from './sys.ts';

// include/linux/socket.h, include/uapi/asm-generic/socket.h, include/uapi/linux/in.h, in6.h
export const sockStream = 1;
export const sockDgram = 2;
export const sockRaw = 3;
export const sockNonblock = 0o4000;
export const sockCloexec = 0o2000000;
export const msgDontwait = 0x40;
export const msgErrqueue = 0x2000;

const solSocket = 1;
const ipprotoIp = 0;
const ipprotoIpv6 = 41;

/** [level, option] */
const socketOption = {
  reuseAddress: [solSocket, 2],
  error: [solSocket, 4],
  sendBuffer: [solSocket, 7],
  receiveBuffer: [solSocket, 8],
  reusePort: [solSocket, 15],
  sendBufferForce: [solSocket, 32],
  receiveBufferForce: [solSocket, 33],
  v6only: [ipprotoIpv6, 26],
  bindAddressNoPort: [ipprotoIp, 24],
} as const;

/** Options that both families have, under other numbers. */
const perFamily = {
  /** IP_MTU_DISCOVER: 2 sets DF and honours the path MTU, 3 (PROBE) sets DF and ignores it */
  mtuDiscover: { ipv4: [ipprotoIp, 10], ipv6: [ipprotoIpv6, 23] },
  /** IP_RECVERR: ICMP errors are queued with all they say */
  receiveErrors: { ipv4: [ipprotoIp, 11], ipv6: [ipprotoIpv6, 25] },
  /** IP_MTU: of the path; connected sockets only */
  mtu: { ipv4: [ipprotoIp, 14], ipv6: [ipprotoIpv6, 24] },
  /** IP_FREEBIND: addresses that are not on any interface */
  freebind: { ipv4: [ipprotoIp, 15], ipv6: [ipprotoIpv6, 78] },
  /** IP_TRANSPARENT: as freebind, and TPROXY may deliver here */
  transparent: { ipv4: [ipprotoIp, 19], ipv6: [ipprotoIpv6, 75] },
  /** IP_PKTINFO: tells the address a datagram came to */
  packetInfo: { ipv4: [ipprotoIp, 8], ipv6: [ipprotoIpv6, 49] },
} as const;

type Option = readonly [level: number, option: number];

const four = Buffer.alloc(4);

const trySet = (fd: number, [level, option]: Option, value: number): number => {
  four.writeInt32LE(value);
  return sys.setsockopt(fd, level, option, four, 4);
};

/** @throws KernelError */
export function setOption(fd: number, name: keyof typeof socketOption, value: number): void {
  check(() => `set socket option ${name} to ${value}`, trySet(fd, socketOption[name], value));
}

/** @throws KernelError */
export function setFamilyOption(fd: number, family: Family, name: keyof typeof perFamily, value: number): void {
  check(() => `set socket option ${name} (${family}) to ${value}`, trySet(fd, perFamily[name][family], value));
}

/** Takes the pending error of a socket away. @returns errno, 0 when there is none */
export function takeError(fd: number): number {
  const [level, option] = socketOption.error;
  const value = Buffer.alloc(4);
  check('read SO_ERROR', sys.getsockopt(fd, level, option, value, Buffer.from([4, 0, 0, 0])));
  return value.readInt32LE(0);
}

/** Sizes the buffers, beyond the system's limit where the capability allows. The kernel doubles the number for its own bookkeeping. */
export function setBuffers(fd: number, { receiveBytes, sendBytes }: { receiveBytes?: number; sendBytes?: number }): void {
  if (receiveBytes && trySet(fd, socketOption.receiveBufferForce, receiveBytes) < 0) setOption(fd, 'receiveBuffer', receiveBytes);
  if (sendBytes && trySet(fd, socketOption.sendBufferForce, sendBytes) < 0) setOption(fd, 'sendBuffer', sendBytes);
}
