import { parseArgs } from './args.ts';
import { type NetworkConfig, parseConfig } from './config.ts';
import type { Envelope } from './envelope.ts';
import { CniError, cniCode } from './errors.ts';
import { loopbackType } from './loopback.ts';
import { shown } from './shown.ts';
import { withArgs } from './wishes.ts';

const commands = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'] as const;
export type Command = (typeof commands)[number];

/** One attachment of a network to a container, also the key of its lease. */
export interface AttachmentKey {
  network: string;
  containerId: string;
  ifname: string;
}

/** Who the pod is, as kubelet's runtimes tell in CNI_ARGS; for messages and events, never a key. */
export interface PodIdentity {
  namespace?: string;
  name?: string;
  uid?: string;
}

interface Common {
  config: NetworkConfig;
}
export type Request =
  | (Common & { command: 'ADD' | 'CHECK'; key: AttachmentKey; netns: string; pod: PodIdentity })
  /** `netns` may be missing or gone (CNI6). No `key`: no attachment can have such names. */
  | (Common & { command: 'DEL'; key: AttachmentKey | undefined; netns: string | undefined })
  | (Common & { command: 'STATUS' | 'GC' });

/** CNI3; CNI_COMMAND is looked at before. */
const required: Record<Exclude<Command, 'VERSION'>, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
  STATUS: [],
};

/** @throws CniError 4 naming the variables, when the command is missing or unknown */
export function commandOf(env: Envelope['env']): Command {
  const command = env.get('CNI_COMMAND');
  if (!command)
    throw new CniError(cniCode.invalidEnvironment, 'CNI_COMMAND is missing', `expected one of ${commands.join(', ')}`);
  const known = commands.find((c) => c === command);
  if (!known)
    throw new CniError(
      cniCode.invalidEnvironment,
      `CNI_COMMAND is ${shown(command)}`,
      `expected one of ${commands.join(', ')}`,
    );
  return known;
}

/** Validates environment and configuration of every command but VERSION. @throws CniError 1, 2, 4, 6 or 7 */
export function parseRequest(command: Exclude<Command, 'VERSION'>, { env, stdin }: Envelope): Request {
  const missing = required[command].filter((name) => !env.get(name));
  if (missing.length > 0)
    throw new CniError(
      cniCode.invalidEnvironment,
      `${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing for ${command}`,
    );
  const config = parseConfig(command, stdin);
  if (command === 'STATUS' || command === 'GC') return { command, config };

  const [id, name] = [env.get('CNI_CONTAINERID') ?? '', env.get('CNI_IFNAME') ?? ''];
  const key = { network: config.name, containerId: id, ifname: name };
  const netns = env.get('CNI_NETNS') || undefined;
  const idFault = containerIdFault(id);
  const nameFault = interfaceNameFault(name);
  // DEL must work with whatever is left of the container (CNI6), so it judges nothing that it does not need: what ADD was refused for is not there.
  if (command === 'DEL') return { command, config, key: (idFault ?? nameFault) ? undefined : key, netns };
  if (idFault) throw new CniError(cniCode.invalidEnvironment, `CNI_CONTAINERID is ${shown(id)}: ${idFault}`);
  const made = nameFault ?? unusable(name, config.type === loopbackType);
  if (made) throw new CniError(cniCode.invalidEnvironment, `CNI_IFNAME is ${shown(name)}: ${made}`);
  const { pod, wishes } = parseArgs(env.get('CNI_ARGS') ?? '');
  if (!netns?.startsWith('/'))
    throw new CniError(cniCode.invalidEnvironment, `CNI_NETNS is ${shown(netns)}: expected an absolute path`);
  return { command, config: { ...config, wishes: withArgs(config.wishes, wishes) }, key, netns, pod };
}

/** CNI4, as libcni checks it. */
const containerIdFault = (text: string): string | undefined =>
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text) ? undefined : "expected a letter or digit, then letters, digits, '_', '.' or '-'";

/**
 * What dev_valid_name() takes and no link of a pod can be named: a pattern for the kernel to fill in, folders of /proc/sys/net, bytes that were no UTF-8, and the link that
 * every namespace has.
 * @param isLoopback the type `loopback` is asked, which is for that link
 */
function unusable(text: string, isLoopback: boolean): string | undefined {
  if (text === 'lo' && !isLoopback)
    return "every network namespace has 'lo' from its beginning: choose another name, such as eth0";
  if (text.includes('%')) return `'%' stands for a number that the kernel chooses`;
  if (text === 'all' || text === 'default') return "the kernel keeps 'all' and 'default' for settings of all interfaces";
  return text.includes('\ufffd') ? 'it is not UTF-8' : undefined;
}

/** What dev_valid_name() of the kernel does not take. */
function interfaceNameFault(text: string): string | undefined {
  const bytes = Buffer.byteLength(text);
  if (bytes < 1 || bytes > 15) return `an interface name has 1 to 15 bytes, this has ${bytes}`;
  if (text === '.' || text === '..') return `'.' and '..' are no interface names`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[/:\s\u0000-\u001f\u0085]/u.test(text)) return `'/', ':' and white space are not allowed`;
  return undefined;
}
