import type { ProcessNode } from '../../agent/testkit/process-node.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { isPodLink } from '../../links/pod-link.ts';
import { answerOf, type Call, type Contender, cniVersion, environment, type Pod } from './contender.ts';

/** podnet's executable, with the agent behind it. */
export class Podnet implements Contender {
  readonly id: string;
  readonly title: string;
  readonly attaches = true;
  /** V8 compiles what it sees often enough: an agent lives for weeks, the first pods after its start are told apart. */
  readonly warmUp = 1500;
  readonly node: ProcessNode;
  readonly #input = JSON.stringify({ cniVersion, name: 'podnet', type: 'podnet' });

  constructor(id: string, title: string, node: ProcessNode) {
    this.id = id;
    this.title = title;
    this.node = node;
  }

  *add(pod: Pod): Call {
    pod.result = answerOf('podnet ADD', yield this.#program('ADD', pod, this.#input));
  }

  *delete(pod: Pod): Call {
    const input = JSON.stringify({ ...JSON.parse(this.#input), prevResult: pod.result });
    answerOf('podnet DEL', yield this.#program('DEL', pod, input));
  }

  async daemonCpuUs(): Promise<number> {
    const { user, system } = (await this.node.ask('usage')) as NodeJS.CpuUsage;
    return user + system;
  }

  isIdle(): boolean {
    using rt = RtNetlink.open(this.node.ns);
    return !rt.links().some(({ name }) => isPodLink(name));
  }

  #program(command: 'ADD' | 'DEL', pod: Pod, input: string): { path: string; env: Record<string, string>; input: string } {
    return { path: this.node.executable, env: environment(command, pod, this.node.config.cni.binDir), input };
  }
}
