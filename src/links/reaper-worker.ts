import { parentPort, workerData } from 'node:worker_threads';
import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { deletionGroup } from './pod-link.ts';

// The thread of Reaper. Answers each message with what went wrong, or with nothing.
using ns = NetNs.open(workerData as string);
const rt = RtNetlink.open(ns);

parentPort!.on('message', () => {
  try {
    rt.deleteLinkGroup(deletionGroup);
    parentPort!.postMessage(undefined);
  } catch (error) {
    parentPort!.postMessage((error as Error).message);
  }
});
