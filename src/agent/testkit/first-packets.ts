import { parentPort, Worker, workerData } from 'node:worker_threads';
import { NetNs } from '../../kernel/netns.ts';
import { PacketSocket } from '../../kernel/packets.ts';

/** What a container could do that was started too early: a thread that sends a frame by eth0 (ifindex 2) again and again, from the moment that there is one. */
interface Task {
  path: string;
  frame: Uint8Array;
  /** [stop, frames sent] */
  shared: Int32Array;
}

if (parentPort && workerData && 'frame' in workerData) {
  const { path, frame, shared } = workerData as Task;
  using ns = NetNs.open(path);
  let socket: PacketSocket | undefined;
  while (Atomics.load(shared, 0) === 0) {
    try {
      socket ??= new PacketSocket(ns, 2);
      socket.send(frame);
      Atomics.add(shared, 1, 1);
    } catch {
      // There is no link yet, or it is down.
    }
    if (Atomics.add(shared, 2, 1) === 0) parentPort.postMessage('running');
  }
  socket?.[Symbol.dispose]();
}

export interface Sender {
  /** How many frames went out. */
  sent(): number;
  stop(): Promise<void>;
}

/** Fulfilled when the thread is at it. */
export async function sendFromTheStart(path: string, frame: Uint8Array): Promise<Sender> {
  const shared = new Int32Array(new SharedArrayBuffer(12));
  const worker = new Worker(new URL(import.meta.url), { workerData: { path, frame, shared } satisfies Task });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
  });
  return {
    sent: () => Atomics.load(shared, 1),
    stop: () => {
      Atomics.store(shared, 0, 1);
      return ended;
    },
  };
}
