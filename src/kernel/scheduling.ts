import os from 'node:os';
import { check } from './errors.ts';
import { addressOf, nativeBuffer, sys, systemCalls } from './sys.ts';

// include/uapi/linux/sched/types.h: struct sched_attr up to sched_period
const attributeBytes = 48;
/** SCHED_FLAG_RESET_ON_FORK: threads and processes that this one starts are as usual. */
const resetOnFork = 1;

/** How the kernel shares processors with a thread, among those without real-time rights (SCHED_NORMAL). */
export interface Scheduling {
  /** -20 to 19, less is more (setpriority(2)) */
  nice: number;
  /**
   * How long it is to run at a time, in microseconds, 100 to 100,000: whoever asks for less is let in sooner, and gets no more in all. Since Linux 6.12; ignored before.
   */
  sliceUs: number;
}

/**
 * Of the calling thread alone; what it starts later is as usual.
 * @returns false without the right to (CAP_SYS_NICE)
 */
export function schedule({ nice, sliceUs }: Scheduling): boolean {
  const attributes = nativeBuffer(attributeBytes);
  const view = new DataView(attributes.buffer, attributes.byteOffset, attributeBytes);
  const little = os.endianness() === 'LE';
  view.setUint32(0, attributeBytes, little);
  view.setBigUint64(8, BigInt(resetOnFork), little);
  view.setInt32(16, nice, little);
  view.setBigUint64(24, BigInt(sliceUs) * 1000n, little);
  return sys.syscall(systemCalls.sched_setattr, 0, addressOf(attributes), 0, 0, 0) === 0;
}

/** Room for 1024 processors, as cpu_set_t. */
const maskBytes = 128;

/** Numbers of the processors that the calling thread may run on. @throws KernelError */
export function processors(): number[] {
  const mask = nativeBuffer(maskBytes);
  check('sched_getaffinity', sys.syscall(systemCalls.sched_getaffinity, 0, maskBytes, addressOf(mask), 0, 0));
  return Array.from({ length: maskBytes * 8 }, (_, i) => i).filter((i) => mask[i >> 3]! & (1 << (i & 7)));
}

/**
 * The calling thread, and threads and processes that it starts from now on, run on these processors alone.
 * @throws KernelError EINVAL when there is none of them
 */
export function runOn(these: readonly number[]): void {
  const mask = nativeBuffer(maskBytes);
  for (const i of these) mask[i >> 3]! |= 1 << (i & 7);
  check(() => `sched_setaffinity to processors ${these.join()}`, sys.syscall(systemCalls.sched_setaffinity, 0, maskBytes, addressOf(mask), 0, 0));
}
