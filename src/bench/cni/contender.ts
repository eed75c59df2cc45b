import type { ShortProgramEnd, ShortProgramOptions } from '../../kernel/short-programs.ts';

/** A pod as a runtime sees it before it has a network. */
export interface Pod {
  containerId: string;
  /** Path of its network namespace. */
  netns: string;
  /** What ADD answered; libcni caches it and hands it to DEL. */
  result?: unknown;
}

/** A call of a runtime: the programs that it starts, one after the other, each told what the one before answered. */
export type Call = Generator<ShortProgramOptions, void, ShortProgramEnd>;

/** Somebody who attaches pods. */
export interface Contender {
  id: string;
  title: string;
  add(pod: Pod): Call;
  delete(pod: Pod): Call;
  /** Whether ADD makes an interface. */
  attaches: boolean;
  /** So many ADDs after its start it is as fast as it stays; 0 for one that starts anew each time. */
  warmUp: number;
  /** Microseconds on a core that its daemon has taken since its start; 0 without one. */
  daemonCpuUs(): Promise<number>;
  /** Whether what DEL left to the background is done. */
  isIdle(): boolean;
}

export const cniVersion = '1.0.0';

/** What libcni sets: the environment of the runtime, and the call. */
export function environment(command: 'ADD' | 'DEL', { containerId, netns }: Pod, cniPath: string): Record<string, string> {
  const name = containerId.slice(0, 12);
  return {
    ...{ PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8' },
    ...{ CNI_COMMAND: command, CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: 'eth0', CNI_PATH: cniPath },
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-${name};K8S_POD_INFRA_CONTAINER_ID=${containerId};K8S_POD_UID=${name}`,
  };
}

/** @throws Error with what the plugin said when it failed */
export function answerOf(who: string, { exitCode, stdout }: ShortProgramEnd): unknown {
  const text = stdout.toString().trim();
  if (exitCode !== 0) throw new Error(`${who} ended with ${exitCode}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
