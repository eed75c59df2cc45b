import type { ParsedConfig } from '../config.ts';

/** What a socket is for, in the words of the configuration: by these names processes find what others have opened. */
export const udpName = (address: string, port: number): string => `udp ${address} ${port}`;
export const tcpName = (address: string, port: number): string => `tcp ${address} ${port}`;
export const healthName = (path: string): string => `health ${path}`;
export const metricsName = ({ metricsListen }: ParsedConfig): string | undefined =>
  metricsListen && `metrics ${metricsListen.address} ${metricsListen.port}`;
/** Where a successor asks for the others. */
export const handoverName = 'handover';
