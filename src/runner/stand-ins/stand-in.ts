import type { Socket as UdpSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { KernelError } from '../../kernel/errors.ts';
import { NetNs } from '../../kernel/netns.ts';
import { bindUdp, listenTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { type ContainerExit, type ContainerSpec, ContainerStartError, type RunningContainer } from '../container.ts';
import { type ContainerProcess, StreamError } from '../streams/backend.ts';
import { type LineLog, StandInLog } from './log.ts';
import type { Owner } from './owner.ts';
import { standInPorts } from './ports.ts';
import type { StandInOptions } from './runtime.ts';
import type { StandInTcp } from './tcp.ts';
import { serveUdp } from './udp.ts';

interface Parts {
  tcp: StandInTcp;
  log: LineLog;
  drainMs: number;
  exec: StandInOptions['exec'];
}

const anyAddress = ['::', '0.0.0.0'] as const;

/** Both families by one socket; IPv4 alone where the kernel has no IPv6. */
function dualStack(open: (address: IpAddr) => number): number {
  try {
    return open(IpAddr.parse(anyAddress[0]));
  } catch (error) {
    if (!(error instanceof KernelError) || (error.errno !== 'EAFNOSUPPORT' && error.errno !== 'EADDRNOTAVAIL')) throw error;
    return open(IpAddr.parse(anyAddress[1]));
  }
}

/** One container that stands in for a program. */
export class StandIn implements RunningContainer, Owner {
  readonly startedAt = new Date();
  readonly exited: Promise<ContainerExit>;
  readonly answersExecProbe = true;
  readonly spec: ContainerSpec;
  readonly log: StandInLog;
  readonly #parts: Parts;
  readonly #servers: Server[] = [];
  readonly #udp: UdpSocket[] = [];
  readonly #connections = new Set<Socket>();
  #end: (exit: ContainerExit) => void = () => {};
  #ended = false;
  #drain: NodeJS.Timeout | undefined;

  private constructor(spec: ContainerSpec, parts: Parts) {
    this.spec = spec;
    this.#parts = parts;
    this.log = new StandInLog(parts.log);
    this.exited = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** @throws ContainerStartError when the network namespace is gone */
  static start(spec: ContainerSpec, parts: Parts): StandIn {
    const standIn = new StandIn(spec, parts);
    const { namespace, name } = spec.pod;
    standIn.log.say(
      `podnet stand-in for image ${spec.image}: container ${spec.name} of pod ${namespace}/${name} on node ${spec.nodeName}`,
    );
    if (spec.command || spec.args) standIn.log.say(`not run: ${JSON.stringify([...(spec.command ?? []), ...(spec.args ?? [])])}`);
    if (spec.init) {
      standIn.log.say('an init container that stands in has nothing to wait for or to copy: done');
      standIn.#finish(0);
    } else standIn.#listen();
    return standIn;
  }

  #listen(): void {
    const { spec } = this;
    const { tcp, udp, skipped } = standInPorts(spec.ports, spec.probes, spec.podIPs);
    for (const why of skipped) this.log.say(why, 'stderr');
    if (spec.probes.some((probe) => probe.exec)) this.log.say('exec probes are not run; they count as answered');
    if (tcp.length + udp.length === 0) {
      this.log.say('no ports are declared: listening on none');
      return;
    }
    using ns = this.#namespace();
    let port = '';
    try {
      for (const number of tcp) {
        port = `${number}/TCP`;
        const fd = dualStack((address) => listenTcp(ns, address, number, { v6only: false }));
        this.#servers.push(this.#parts.tcp.serve(fd, this, (socket) => this.#opened(socket)));
      }
      for (const number of udp) {
        port = `${number}/UDP`;
        const fd = dualStack((address) => bindUdp(ns, address, number, { v6only: false }));
        this.#udp.push(serveUdp(fd, number, this));
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const why = error.errno === 'EADDRINUSE' ? 'bind: address already in use' : error.message;
      this.log.say(`listen on port ${port}: ${why}`, 'stderr');
      this.#finish(1);
      return;
    }
    this.log.say(`listening on ${[...tcp.map((each) => `${each}/TCP`), ...udp.map((each) => `${each}/UDP`)].join(', ')}`);
  }

  #namespace(): NetNs {
    try {
      return NetNs.open(this.spec.netns);
    } catch (error) {
      this.#parts.log.close();
      const why = error instanceof Error ? error.message : String(error);
      throw new ContainerStartError('StartError', `stand-in cannot enter its pod's network namespace: ${why}`, 128, {
        cause: error,
      });
    }
  }

  #opened(socket: Socket): void {
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#ended) return;
    const drainMs = Math.min(this.#parts.drainMs, graceMs);
    clearTimeout(this.#drain);
    if (drainMs <= 0) this.#stopNow();
    else {
      this.log.say(`stopping: still serving for ${drainMs} ms`);
      this.#drain = setTimeout(() => this.#stopNow(), drainMs);
    }
    await this.exited;
  }

  #stopNow(): void {
    if (this.#ended) return;
    this.log.say('stopped');
    this.#finish(0);
  }

  #finish(exitCode: number): void {
    this.#ended = true;
    for (const server of this.#servers) server.close();
    for (const socket of this.#udp) socket.close();
    for (const socket of this.#connections) socket.destroy();
    this.log.close();
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    this.#end({ exitCode, reason, startedAt: this.startedAt, finishedAt: new Date() });
  }

  async exec(command: readonly string[], tty: boolean): Promise<ContainerProcess> {
    if (this.#parts.exec) return this.#parts.exec(this.spec, command, tty);
    const { namespace, name } = this.spec.pod;
    throw new StreamError(
      500,
      `cannot run ${JSON.stringify(command[0] ?? '')} in container "${this.spec.name}" of pod "${namespace}/${name}": it is a stand-in for ` +
        `image ${this.spec.image} and has no programs; map the image to a root to run it for real`,
    );
  }

  /** The output from now on; input is taken and forgotten. */
  async attach(tty: boolean): Promise<ContainerProcess> {
    if (this.#ended) throw new StreamError(400, `container "${this.spec.name}" is not running`);
    const stdout = this.log.attach();
    const stdin = new PassThrough();
    stdin.resume();
    const { promise, resolve } = withResolvers();
    const exit = Promise.race([this.exited.then(({ exitCode }) => exitCode), promise]).then((code) => ({ code }));
    return {
      stdin,
      stdout,
      ...(tty ? { resize: () => {} } : { stderr: Readable.from([]) }),
      exit,
      kill: () => {
        stdout.destroy();
        resolve(0);
      },
    };
  }
}

function withResolvers(): { promise: Promise<number>; resolve: (code: number) => void } {
  let resolve: (code: number) => void = () => {};
  const promise = new Promise<number>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
