import type { ContainerRuntime, ContainerSpec } from '../container.ts';
import type { ContainerProcess } from '../streams/backend.ts';
import { fileLog, type LineLog } from './log.ts';
import { StandIn } from './stand-in.ts';
import { defaultTcpTimes, StandInTcp, type TcpTimes } from './tcp.ts';

export interface StandInOptions {
  /** Defaults to a writer of CRI lines to `spec.logPath`. */
  openLog?: (spec: ContainerSpec) => LineLog;
  /** Programs to run beside a stand-in (`kubectl exec`); without it exec says that a stand-in has none. */
  exec?: (spec: ContainerSpec, command: readonly string[], tty: boolean) => Promise<ContainerProcess>;
  /** How long a stand-in that was told to stop still takes connections, at most the grace period. Default 0. */
  drainMs?: number;
  times?: TcpTimes;
}

/** Containers that pretend: they listen, answer and tell who they are. All of them live in this process. */
export function createStandInRuntime(options: StandInOptions = {}): ContainerRuntime {
  const tcp = new StandInTcp(options.times ?? defaultTcpTimes);
  const openLog = options.openLog ?? ((spec: ContainerSpec) => fileLog(spec.logPath));
  return {
    kind: 'stand-in',
    start: async (spec) => StandIn.start(spec, { tcp, log: openLog(spec), drainMs: options.drainMs ?? 0, exec: options.exec }),
  };
}
