import type { ContainerPort, Probe } from '../kube/types.ts';
import type { ContainerProcess } from './streams/backend.ts';

/** A container to be started, with everything resolved: what a runtime is told. */
export interface ContainerSpec {
  /** 64 hex digits, new for each start. */
  id: string;
  pod: { namespace: string; name: string; uid: string };
  name: string;
  nodeName: string;
  /** It is an init container. */
  init: boolean;
  image: string;
  /** `command` of the pod's spec replaces the image's entrypoint, `args` its command; references to variables are already replaced. */
  command?: readonly string[];
  args?: readonly string[];
  env: Readonly<Record<string, string>>;
  workingDir?: string;
  stdin: boolean;
  stdinOnce: boolean;
  tty: boolean;
  user?: { uid: number; gid: number; groups: readonly number[] };
  /** Path of the network namespace: the node's own with hostNetwork. */
  netns: string;
  hostNetwork: boolean;
  hostname: string;
  /** The pod's addresses, primary first. */
  podIPs: readonly string[];
  /** Files and folders of the host that the container sees: volumes, `/etc/hosts`, `/etc/resolv.conf`. */
  mounts: readonly { source: string; target: string; readOnly: boolean }[];
  /** Declared ports, and the probes that a stand-in must answer. */
  ports: readonly ContainerPort[];
  probes: readonly Probe[];
  /** A folder of the container's own on the host; the runtime removes what it made in it when the container is removed. */
  dir: string;
  /** Output goes here, in the format of CRI logs: `2026-01-02T03:04:05.123456789Z stdout F line`. */
  logPath: string;
}

export interface ContainerExit {
  /** 128 + n when signal n ended it. */
  exitCode: number;
  signal?: number;
  /** As kubelet has it: Completed, Error, OOMKilled, … */
  reason: string;
  message?: string;
  startedAt: Date;
  finishedAt: Date;
}

export interface RunningContainer {
  /** In the host's numbering; a stand-in has none. */
  readonly pid?: number;
  readonly startedAt: Date;
  readonly exited: Promise<ContainerExit>;
  /** A stand-in has no programs: its exec probes count as answered, and its log says so. */
  readonly answersExecProbe?: boolean;
  /** SIGTERM, and SIGKILL after the grace; fulfilled when it has ended. Safe to call again, with a shorter grace too. */
  stop(graceMs: number): Promise<void>;
  exec(command: readonly string[], tty: boolean): Promise<ContainerProcess>;
  attach(tty: boolean): Promise<ContainerProcess>;
}

export interface ContainerRuntime {
  readonly kind: 'process' | 'stand-in';
  /** @throws ContainerStartError */
  start(spec: ContainerSpec): Promise<RunningContainer>;
}

/** The container cannot start. `reason` is kubelet's: CreateContainerConfigError, RunContainerError, StartError, ErrImagePull, … */
export class ContainerStartError extends Error {
  readonly reason: string;
  readonly exitCode: number;

  constructor(reason: string, message: string, exitCode = 128, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ContainerStartError';
    this.reason = reason;
    this.exitCode = exitCode;
  }
}
