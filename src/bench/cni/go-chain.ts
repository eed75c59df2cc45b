import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { answerOf, type Call, type Contender, cniVersion, environment, type Pod } from './contender.ts';

const tools = fileURLToPath(new URL('../../../.cache/bench-tools', import.meta.url));

/**
 * The reference plugins as a conflist chains them: bridge, which starts host-local, then portmap (a pod without host ports). No masquerading: the chain would
 * only become slower.
 */
export class GoChain implements Contender {
  readonly id: string;
  readonly title: string;
  readonly attaches = true;
  readonly warmUp = 0;
  readonly #bin: string;
  readonly #bridge: object;
  readonly #portmap: object;

  /**
   * @param suite of Debian: `bookworm` or `sid`
   * @throws Error when the plugins are not there
   */
  constructor(suite: string, directory: string, subnet: string) {
    this.#bin = `${tools}/cni-${suite}`;
    if (!existsSync(`${this.#bin}/bridge`)) throw new Error(`${this.#bin}/bridge is missing: run scripts/bench-tools.sh`);
    this.id = `go-${suite}`;
    const version = /^[\d.]+/.exec(readFileSync(`${this.#bin}/.version`, 'utf8'))?.[0] ?? '';
    this.title = `Go plugins ${version} (${suite})`;
    mkdirSync(directory, { recursive: true });
    const name = 'bench';
    const ipam = { type: 'host-local', ranges: [[{ subnet }]], dataDir: `${directory}/host-local` };
    this.#bridge = { cniVersion, name, type: 'bridge', bridge: 'cni0', isDefaultGateway: true, hairpinMode: true, ipam };
    this.#portmap = { cniVersion, name, type: 'portmap', capabilities: { portMappings: true } };
  }

  *add(pod: Pod): Call {
    const env = environment('ADD', pod, this.#bin);
    const bridged = answerOf('bridge ADD', yield { path: `${this.#bin}/bridge`, env, input: JSON.stringify(this.#bridge) });
    const input = JSON.stringify({ ...this.#portmap, prevResult: bridged });
    pod.result = answerOf('portmap ADD', yield { path: `${this.#bin}/portmap`, env, input });
  }

  *delete(pod: Pod): Call {
    const env = environment('DEL', pod, this.#bin);
    for (const config of [this.#portmap, this.#bridge] as { type: string }[]) {
      const input = JSON.stringify({ ...config, prevResult: pod.result });
      answerOf(`${config.type} DEL`, yield { path: `${this.#bin}/${config.type}`, env, input });
    }
  }

  daemonCpuUs = (): Promise<number> => Promise.resolve(0);
  isIdle = (): boolean => true;
}
