import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import type { KubeObject } from '../../kube/api.ts';
import { IpAddr } from '../../net/ip.ts';
import type { AgentConfig } from '../config.ts';
import type { AgentStatus } from '../status.ts';
import { agentConfig } from './config.ts';
import type { DaemonOptions, DaemonQuestion } from './daemon.ts';

const daemon = fileURLToPath(new URL('./daemon.js', import.meta.url));
const nodeAddresses = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' };

export interface ProcessNodeOptions {
  /** Pod CIDRs, one for each family of the node, primary first. */
  podCidrs?: readonly string[];
  attach?: AgentConfig['attach'];
  waitForDeletion?: boolean;
  /** Of node, for the agent. */
  execArgv?: readonly string[];
}

/**
 * A node without neighbours, in a namespace of its own below `directory`, whose agent is a process of its own: it can be killed, and what it costs can be
 * told apart.
 */
export class ProcessNode implements AsyncDisposable {
  readonly directory: string;
  readonly config: AgentConfig;
  readonly ns: NetNs;
  /** What is in the API of the next start, beside the Node. */
  objects: readonly KubeObject[] = [];
  readonly #daemon: DaemonOptions;
  readonly #execArgv: readonly string[];
  readonly #path: string;
  #agent: ChildProcess | undefined;
  #questions = 0;

  constructor(directory: string, { podCidrs = ['10.1.0.0/22'], attach = 'routed', ...options }: ProcessNodeOptions = {}) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    this.#path = `${directory}/node`;
    this.ns = NetNs.create(this.#path);
    const families = podCidrs.map((cidr) => (cidr.includes(':') ? ('ipv6' as const) : ('ipv4' as const)));
    const ofFamilies = (texts: readonly string[]): string[] =>
      families.map((family) => texts.find((text) => text.includes(':') === (family === 'ipv6'))!);
    const whole = agentConfig(directory);
    const { clusterCidrs, serviceCidrs, clusterDns } = whole;
    this.config = {
      ...{ ...whole, families, attach, clusterCidrs: ofFamilies(clusterCidrs) },
      ...{ serviceCidrs: ofFamilies(serviceCidrs), clusterDns: ofFamilies(clusterDns) },
      cni: { ...whole.cni, waitForDeletion: options.waitForDeletion ?? false },
    };
    this.#daemon = { config: this.config, addresses: families.map((family) => nodeAddresses[family]), podCidrs };
    this.#execArgv = options.execArgv ?? [];
    using rt = RtNetlink.open(this.ns);
    // One end of a veth pair whose other end nobody uses is as good an uplink as any here.
    rt.addLink({ type: 'veth', name: 'eth0', peer: { name: 'eth0-peer' } });
    for (const name of ['lo', 'eth0-peer', 'eth0']) rt.setLink(rt.link(name)!.index, { up: true, addrGenMode: 'none' });
    for (const family of families) {
      const address = IpAddr.parse(nodeAddresses[family]);
      const prefixLength = family === 'ipv4' ? 24 : 64;
      rt.addAddress({ link: rt.link('eth0')!.index, address, prefixLength, flags: family === 'ipv6' ? ['nodad'] : [] });
    }
  }

  get executable(): string {
    return `${this.config.cni.binDir}/podnet`;
  }

  get pid(): number {
    return this.#running().pid!;
  }

  log(): string {
    return readFileSync(`${this.directory}/agent.log`, 'utf8');
  }

  /** Starts the agent; fulfilled when it lives, which is before it is ready. */
  async start(): Promise<void> {
    const log = openSync(`${this.directory}/agent.log`, 'a');
    try {
      const start = (): ChildProcess =>
        fork(daemon, [JSON.stringify({ ...this.#daemon, objects: this.objects } satisfies DaemonOptions)], {
          // Ctrl-C of a terminal is for whoever started it.
          ...{ detached: true, execArgv: [...this.#execArgv], stdio: ['ignore', 'ignore', log, 'ipc'] },
        });
      const agent = this.ns.enter(start as never) as ChildProcess;
      this.#agent = agent;
      agent.on('error', () => {});
      agent.unref();
      agent.channel?.unref();
      await once(agent, 'spawn');
    } finally {
      closeSync(log);
    }
  }

  /** Fulfilled when pods can be attached and nothing is left to be written. @throws Error after so long */
  async ready(withinMs = 30_000): Promise<AgentStatus> {
    for (const end = performance.now() + withinMs; ; ) {
      const status = (await this.ask('status')) as AgentStatus;
      const { pending, error, errors } = status.reconciler;
      if (status.ready && pending + error === 0) return status;
      if (performance.now() > end)
        throw new Error(`the agent is not ready: ${JSON.stringify({ why: status.why, pending, errors })}\n${this.log()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @throws Error when the agent ends meanwhile */
  ask(ask: 'status' | 'usage' | 'memory'): Promise<unknown> {
    const agent = this.#running();
    const id = this.#questions++;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        agent.off('message', onAnswer);
        agent.off('exit', onExit);
        agent.channel?.unref();
      };
      const onAnswer = (message: unknown): void => {
        const { id: which, answer } = message as { id: number; answer: unknown };
        if (which !== id) return;
        done();
        resolve(answer);
      };
      const onExit = (code: number | null, signal: string | null): void => {
        done();
        reject(new Error(`the agent ended with ${code ?? signal}:\n${this.log()}`));
      };
      agent.on('message', onAnswer);
      agent.on('exit', onExit);
      agent.channel?.ref();
      agent.send({ id, ask } satisfies DaemonQuestion, (error) => error && onExit(agent.exitCode, agent.signalCode));
    });
  }

  /** kill -9; fulfilled when it is gone. */
  async kill(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const gone = once(agent, 'exit');
    agent.ref();
    agent.kill('SIGKILL');
    await gone;
  }

  #running(): ChildProcess {
    if (!this.#agent) throw new Error('the agent is not started');
    return this.#agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.ns[Symbol.dispose]();
    NetNs.remove(this.#path);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
