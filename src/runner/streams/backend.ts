import type { Duplex, Readable, Writable } from 'node:stream';

/** A pod as the paths of the streaming server name it. */
export interface PodRef {
  namespace: string;
  pod: string;
}

/** A container of a pod; `container` is never empty, kubectl and the API server fill it in. */
export interface ContainerRef extends PodRef {
  container: string;
}

/** `PodLogOptions` of the core API, parsed and checked. */
export interface LogOptions {
  follow: boolean;
  /** Of the container's previous run. */
  previous: boolean;
  /** Each line starts with its RFC 3339 time (nanoseconds) and a space. */
  timestamps: boolean;
  /** At most one of `sinceSeconds` and `sinceTime` is set. */
  sinceSeconds?: number;
  sinceTime?: Date;
  /** Number of lines from the end; absent means all. */
  tailLines?: number;
  /** The streaming server enforces this; a backend may ignore it. */
  limitBytes?: number;
}

/** What a container process or an attachment to one offers. Streams that were not asked for are absent or left alone. */
export interface ContainerProcess {
  /** Ended when the client closes its side; the process then sees the end of its input. */
  stdin?: Writable;
  stdout?: Readable;
  /** Absent with a tty: everything comes on `stdout`. */
  stderr?: Readable;
  /** Only with a tty. Size in character cells. */
  resize?(columns: number, rows: number): void;
  /**
   * How the process ended. For `attach`, of the container. `code` is 128 + n when signal n ended it. The server sends the exit code after
   * both output streams have ended, so they must end.
   */
  exit: Promise<{ code: number; signal?: string }>;
  /** The client has gone: end the process (exec), or only the attachment (attach). Safe to call twice and after the end. */
  kill(): void;
}

/** What the streaming server asks of the container runtime. */
export interface StreamBackend {
  /** Ends at the end of the log, or with `follow` when the container ends. Destroyed when the client goes. */
  logs(ref: ContainerRef, options: LogOptions): Promise<Readable>;
  /** Starts `command` in the container. An executable that does not exist is a `StreamError` or exit code 126/127 as runtimes give. */
  exec(ref: ContainerRef, command: string[], tty: boolean): Promise<ContainerProcess>;
  /** Joins the streams of the container's own process. */
  attach(ref: ContainerRef, tty: boolean): Promise<ContainerProcess>;
  /** A connection to a TCP port on the pod's loopback. Half-open is kept: end() ends only one direction. */
  portForward(ref: PodRef, port: number): Promise<Duplex>;
}

/**
 * A request that cannot be served, thrown by backends. `code` is the HTTP status (400, 404, 500), the message is what a kubelet
 * writes, e.g. `container "web" in pod "a" is waiting to start: ContainerCreating`.
 */
export class StreamError extends Error {
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StreamError';
    this.code = code;
  }
}
