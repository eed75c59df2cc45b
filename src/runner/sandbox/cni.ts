import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseResult, type Result } from '../../cni/result.ts';
import type { PodBandwidth } from './bandwidth.ts';
import type { PortMapping } from './port-mappings.ts';

export interface CniOptions {
  binDir: string;
  confDir: string;
  /** A plugin that takes longer is killed. */
  timeoutMs?: number;
}

/** What a call is about, as containerd names it. */
export interface CniTarget {
  containerId: string;
  netns: string;
  pod: { namespace: string; name: string; uid: string };
  /** For a plugin that has the capability, like the rest. */
  portMappings?: readonly PortMapping[];
  bandwidth?: PodBandwidth;
  annotations?: Readonly<Record<string, string>>;
}

interface ConfList {
  name: string;
  cniVersion: string;
  plugins: Record<string, unknown>[];
}

/** No usable configuration in the folder: the node's network is not ready. */
class NoCniConfig extends Error {
  constructor(confDir: string, why = 'no network config found') {
    super(`cni plugin not initialized: ${why} in ${confDir}`);
    this.name = 'NoCniConfig';
  }
}

const newest = '1.1.0';

/** The first file by name, as containerd chooses it. @throws NoCniConfig */
export function loadConfList(confDir: string): ConfList {
  let files: string[];
  try {
    files = readdirSync(confDir).sort();
  } catch {
    throw new NoCniConfig(confDir);
  }
  const file = files.find((name) => /\.(conf|conflist|json)$/.test(name) && !name.startsWith('.'));
  if (file === undefined) throw new NoCniConfig(confDir);
  try {
    const parsed = JSON.parse(readFileSync(join(confDir, file), 'utf8')) as Partial<ConfList> & {
      cniVersions?: string[];
      type?: string;
    };
    const plugins = parsed.plugins ?? (parsed.type ? [parsed as Record<string, unknown>] : []);
    if (!parsed.name || plugins.length === 0) throw new Error('it has no name or no plugins');
    const versions = [parsed.cniVersion ?? '0.3.1', ...(parsed.cniVersions ?? [])].filter((version) => version <= newest).sort();
    return { name: parsed.name, cniVersion: versions.at(-1) ?? '1.0.0', plugins };
  } catch (error) {
    throw new NoCniConfig(confDir, `cannot use ${file}: ${(error as Error).message}`);
  }
}

/** Calls CNI plugins as containerd does: environment, configuration on stdin, answer on stdout; one process for each call. */
export class Cni {
  readonly #options: CniOptions;
  /** Attachments that are made while GC runs are not in its list: they wait for its end. */
  #collecting: Promise<void> = Promise.resolve();

  constructor(options: CniOptions) {
    this.#options = options;
  }

  /** @returns the parsed result, and the raw one for later calls @throws Error with the plugin's message */
  async add(target: CniTarget): Promise<{ result: Result; raw: unknown }> {
    await this.#collecting;
    const list = loadConfList(this.#options.confDir);
    let raw: unknown;
    for (const plugin of list.plugins) raw = await this.#call('ADD', list, plugin, target, raw);
    return { result: parseResult(raw), raw };
  }

  /** @param raw what ADD answered, when known */
  async delete(target: CniTarget, raw: unknown): Promise<void> {
    const list = loadConfList(this.#options.confDir);
    for (const plugin of [...list.plugins].reverse()) await this.#call('DEL', list, plugin, target, raw);
  }

  /** @throws Error when ADD could not be served now */
  async status(): Promise<void> {
    const list = loadConfList(this.#options.confDir);
    if (list.cniVersion < '1.1.0') return;
    for (const plugin of list.plugins) await this.#call('STATUS', list, plugin);
  }

  /** Tells the plugins which attachments there still are; they take the others away. */
  collect(valid: readonly string[]): Promise<void> {
    const done = this.#collect(valid);
    this.#collecting = done.catch(() => {});
    return done;
  }

  async #collect(valid: readonly string[]): Promise<void> {
    const list = loadConfList(this.#options.confDir);
    if (list.cniVersion < '1.1.0') return;
    const extra = { 'cni.dev/valid-attachments': valid.map((containerID) => ({ containerID, ifname: 'eth0' })) };
    for (const plugin of list.plugins) await this.#call('GC', list, { ...plugin, ...extra });
  }

  #call(
    command: string,
    list: ConfList,
    plugin: Record<string, unknown>,
    target?: CniTarget,
    previous?: unknown,
  ): Promise<unknown> {
    const { binDir, timeoutMs = 60_000 } = this.#options;
    const config = {
      ...plugin,
      name: list.name,
      cniVersion: list.cniVersion,
      ...runtimeConfig(plugin, target),
      ...(previous === undefined ? {} : { prevResult: previous }),
    };
    const env = { ...process.env, CNI_COMMAND: command, CNI_PATH: binDir, ...(target ? targetEnv(target) : {}) };
    return run(join(binDir, String(plugin.type)), command, env, JSON.stringify(config), timeoutMs);
  }
}

/** Only what the plugin says that it takes, as libcni has it (CNI13). */
function runtimeConfig({ capabilities }: Record<string, unknown>, target: CniTarget | undefined): object {
  const { portMappings, bandwidth, annotations } = target ?? {};
  const all = {
    portMappings: portMappings?.length ? portMappings : undefined,
    bandwidth,
    'io.kubernetes.cri.pod-annotations': annotations,
  };
  const taken = Object.entries(all).filter(
    ([name, value]) => value && (capabilities as Record<string, boolean> | undefined)?.[name] === true,
  );
  return taken.length > 0 ? { runtimeConfig: Object.fromEntries(taken) } : {};
}

const targetEnv = ({ containerId, netns, pod }: CniTarget): Record<string, string> => ({
  CNI_CONTAINERID: containerId,
  CNI_NETNS: netns,
  CNI_IFNAME: 'eth0',
  CNI_ARGS: [
    'IgnoreUnknown=1',
    `K8S_POD_NAMESPACE=${pod.namespace}`,
    `K8S_POD_NAME=${pod.name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${containerId}`,
    `K8S_POD_UID=${pod.uid}`,
  ].join(';'),
});

function run(file: string, command: string, env: NodeJS.ProcessEnv, stdin: string, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [], { env, stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    // A plugin may end before it has read everything.
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    child.once('error', (error) => reject(new Error(`cannot run the CNI plugin ${file}: ${error.message}`)));
    child.once('close', (code, signal) => {
      const text = Buffer.concat(out).toString();
      if (code === 0) {
        try {
          resolve(text.trim() === '' ? undefined : JSON.parse(text));
        } catch {
          reject(new Error(`CNI ${command} of ${file} answered what is not JSON: ${text.slice(0, 200)}`));
        }
        return;
      }
      const why = signal ? `killed by ${signal}` : messageOf(text) || Buffer.concat(err).toString().trim() || `exit code ${code}`;
      reject(new Error(`plugin type="${file.slice(file.lastIndexOf('/') + 1)}" failed (${command.toLowerCase()}): ${why}`));
    });
  });
}

/** The words of a CNI error result. */
function messageOf(text: string): string {
  try {
    const { msg = '', details = '' } = JSON.parse(text) as { msg?: string; details?: string };
    return details ? `${msg}; ${details}` : msg;
  } catch {
    return text.trim();
  }
}
