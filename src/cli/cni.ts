import { execFile } from 'node:child_process';
import path from 'node:path';
import { Command } from 'commander';
import { confListName, takenBefore } from '../cni/conflist.ts';
import { occupantOf } from '../cni/executable/recognize.ts';
import { executableName, installConfList, installExecutable, type Outcome, removePlugin } from '../cni/installation.ts';
import { openingWords, planOpenings, writeOpenings } from '../foreign/index.ts';
import { Nft, readRuleset } from '../kernel/nftables/index.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { EnvironmentError, UsageError } from '../lab/errors.ts';
import { isPodLink } from '../links/pod-link.ts';
import { longestSocketPath } from '../unix/listen.ts';
import { CheckError, exitCodes, requireRoot } from './errors.ts';
import { count, printable, Style, table } from './output.ts';

interface PlaceOptions {
  binDir: string;
  confDir: string;
  color: boolean;
}
type InstallOptions = PlaceOptions & { socket: string; network: string };
type RemoveOptions = PlaceOptions & { force?: boolean };

/** How long the agent may take to say whether pods can be attached. */
const statusMs = 10_000;

/** `podnet cni install` and `podnet cni remove`: the plugin's files for a container runtime. Both work without an agent. */
export function cniCommand(): Command {
  const places = (command: Command): Command =>
    command
      .option('--bin-dir <dir>', 'where the runtime looks for plugins', '/opt/cni/bin')
      .option('--conf-dir <dir>', 'where the runtime looks for configurations', '/etc/cni/net.d')
      .option('--no-color', 'plain text');
  const install = places(new Command('install'))
    .description("put the plugin in place for a container runtime, and its configuration once the node's agent can attach pods")
    .option(
      '--socket <file>',
      "the CNI socket of the node's agent (cni.socketPath of its configuration)",
      '/run/podnet/agent.sock',
    )
    .option('--network <name>', 'name of the network (cni.network)', 'podnet')
    .action(installPlugin);
  const remove = places(new Command('remove'))
    .description(
      "take away the plugin, its configuration and podnet's rules in firewalls of others; whatever is not podnet's stays",
    )
    .option('--force', 'also while pods are attached or the agent runs')
    .action(removeFromNode);
  return new Command('cni').description("podnet's files for container runtimes").addCommand(install).addCommand(remove);
}

async function installPlugin({ binDir, confDir, socket, network, color }: InstallOptions): Promise<void> {
  absolute('--bin-dir', binDir);
  absolute('--conf-dir', confDir);
  absolute('--socket', socket);
  if (Buffer.byteLength(socket) > longestSocketPath)
    throw new UsageError(`--socket has ${Buffer.byteLength(socket)} bytes; a unix socket's path may have ${longestSocketPath}`);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(network))
    throw new UsageError(`--network ${JSON.stringify(network)} cannot name a network: use letters, digits, _ . and -`);
  requireRoot('the plugin is put in place by root');
  const outcomes: Outcome[] = [];
  try {
    changing(() => installExecutable(binDir, socket, outcomes));
    const why = await whyNotServed(path.join(binDir, executableName));
    const list = path.join(confDir, confListName);
    if (why === undefined) outcomes.push(changing(() => installConfList(confDir, network)));
    else
      outcomes.push({ file: list, outcome: 'kept', why: `not written now, but by the agent once pods can be attached: ${why}` });
  } finally {
    // Also what was done before an error: it stays.
    if (outcomes.length > 0) print(outcomes, color);
  }
  const before = takenBefore(confDir);
  for (const { file, network: other } of before)
    console.error(
      `podnet: runtimes take ${printable(file)}${other === undefined ? '' : ` (network "${printable(other)}")`} and not ${confListName}, since it sorts first: move it away when podnet shall be this node's network`,
    );
  if (before.length > 0) process.exitCode = exitCodes.failed;
}

async function removeFromNode({ binDir, confDir, force = false, color }: RemoveOptions): Promise<void> {
  absolute('--bin-dir', binDir);
  absolute('--conf-dir', confDir);
  requireRoot('the plugin is taken away by root');
  if (!force) await refuseWhileInUse(path.join(binDir, executableName));
  print([...changing(() => removePlugin({ binDir, confDir })), ...closeOpenings()], color);
}

/** Takes podnet's rules out of the firewalls of others, which the agent wrote with consent (`foreignFirewall` of its configuration). */
function closeOpenings(): Outcome[] {
  using nft = Nft.open();
  const { tables, generation } = readRuleset(undefined);
  const changes = planOpenings(tables, [], []);
  writeOpenings(nft, changes, generation);
  return changes.map((change) => ({ file: openingWords(change), outcome: 'removed' }));
}

/** Without the plugin the runtime could not end the pods that are there, and an agent would put everything back. */
async function refuseWhileInUse(executable: string): Promise<void> {
  using rt = RtNetlink.open();
  const pods = rt.links().filter(({ name }) => isPodLink(name)).length;
  if (pods > 0)
    throw new CheckError(
      `${count(pods, 'pod')} of podnet's on this node: the runtime needs the plugin and its configuration to end them. Drain the node first, or use --force`,
    );
  // Somebody else's program is not started; one that cannot be run has no agent to ask.
  if (occupantOf(executable).kind !== 'own') return;
  const why = await whyNotServed(executable).catch(() => noAgent);
  if (why?.includes(noAgent)) return;
  throw new CheckError("podnet's agent runs on this node and would put the plugin back. Stop it first, or use --force");
}

/** As the executable says it: see cni/executable/program.ts. */
const noAgent = 'agent is not running on this node';

/** Asks the agent for STATUS by the executable itself, which proves that it can be run. @returns why ADD cannot be served, if so */
function whyNotServed(executable: string): Promise<string | undefined> {
  const env = { CNI_COMMAND: 'STATUS', CNI_PATH: path.dirname(executable) };
  return new Promise((resolve, reject) => {
    const child = execFile(executable, { env, timeout: statusMs, killSignal: 'SIGKILL' }, (error, stdout) => {
      const { code, killed } = (error ?? {}) as { code?: string | number; killed?: boolean };
      if (!error) return resolve(undefined);
      if (killed) return resolve(`podnet's agent gave no answer in ${statusMs / 1000} s`);
      if (typeof code === 'string')
        return reject(
          new EnvironmentError(`${executable} cannot be run: ${error.message}`, 'look whether its file system is mounted noexec'),
        );
      resolve(messageOf(stdout));
    });
    child.stdin?.on('error', () => {}); // it has ended, and its answer tells
    child.stdin?.end(JSON.stringify({ cniVersion: '1.1.0', name: 'podnet', type: 'podnet' }));
  });
}

function messageOf(answer: string): string {
  try {
    return printable(String((JSON.parse(answer) as { msg?: unknown }).msg));
  } catch {
    return 'what it answered is no JSON';
  }
}

/** Faults of the file system are the machine's. */
function changing<T>(change: () => T): T {
  try {
    return change();
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new EnvironmentError(
      `nothing was left half done: ${message}`,
      'free some room, make it writable, or name another --bin-dir or --conf-dir',
    );
  }
}

function print(outcomes: readonly Outcome[], color: boolean): void {
  const style = Style.of(process.stdout, !color);
  const colours = { written: 'green', removed: 'green', unchanged: 'dim', absent: 'dim', kept: 'yellow' } as const;
  const texts = { written: 'written', removed: 'removed', unchanged: 'as it should be', absent: 'was not there', kept: 'left' };
  const rows = outcomes.map(({ file, outcome, why }) => [
    printable(file),
    style.paint(colours[outcome], texts[outcome]) + (why === undefined ? '' : `: ${printable(why)}`),
  ]);
  console.log(table(['FILE', ''], rows));
}

function absolute(option: string, value: string): void {
  if (!path.isAbsolute(value)) throw new UsageError(`${option} must be an absolute path, not ${JSON.stringify(value)}`);
}
