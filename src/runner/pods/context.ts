import type { Readable } from 'node:stream';
import type { Api } from '../../kube/api.ts';
import type { EventRecorder } from '../../kube/events.ts';
import type { Probe, Service } from '../../kube/types.ts';
import type { RunnerConfig } from '../config.ts';
import type { ProbeTarget } from '../probes/index.ts';
import type { Runtimes } from '../runtimes.ts';
import type { Cni } from '../sandbox/cni.ts';
import type { StateStore } from '../state.ts';
import type { LogOptions } from '../streams/backend.ts';
import type { ProbeAnswer } from './probing.ts';

export type ProbeOnce = (probe: Probe, target: ProbeTarget) => Promise<ProbeAnswer>;
export type OpenLog = (path: string, options: LogOptions) => Promise<Readable> | Readable;

/** What the workers of all pods share. */
export interface RunnerContext {
  config: RunnerConfig;
  api: Api;
  events: EventRecorder;
  state: StateStore;
  cni: Cni;
  runtimes: Runtimes;
  probe: ProbeOnce;
  openLog: OpenLog;
  services(): readonly Service[];
  /** Before it no container may start: its variables would be missing. */
  servicesSynced: Promise<void>;
  /** Path of the node's own network namespace. */
  nodeNetns: string;
  report(message: string): void;
}
