import { parentPort, workerData } from 'node:worker_threads';
import { Conntrack } from '../kernel/conntrack.ts';
import { NetNs } from '../kernel/netns.ts';
import { IpAddr } from '../net/ip.ts';

// The thread of Forgetter. Is sent addresses, and answers with what went wrong, or with nothing.
using ns = NetNs.open(workerData as string);
const conntrack = Conntrack.open(ns);

parentPort!.on('message', (addresses: readonly string[]) => {
  try {
    conntrack.deleteOf(addresses.map(IpAddr.parse));
    parentPort!.postMessage(undefined);
  } catch (error) {
    parentPort!.postMessage((error as Error).message);
  }
});
