import { execFileSync } from 'node:child_process';
import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What can be left behind on a machine, by kind. Each is a set of sentences, so that two states compare as sets. */
export interface MachineState {
  [kind: string]: readonly string[];
}

export interface MachineOptions {
  /** Name of the lab: only its own processes, namespaces, mounts and files count, so that other labs may come and go meanwhile. */
  lab?: string;
  /** Directories whose files count. */
  directories?: readonly string[];
}

const defaultDirectories = ['/run/podnet', '/run/netns', '/var/lib/podnet'];

type Json = Record<string, unknown>;

function tool(command: string, ...args: string[]): Json[] {
  const text = execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  const value = (text.trim() === '' ? [] : JSON.parse(text)) as Json[] | { nftables: Json[] };
  return Array.isArray(value) ? value : value.nftables;
}

/** The named fields that are there, as `name value`. Times and counters stay out: they change by themselves. */
const pick = (object: Json, ...names: string[]): string =>
  names
    .filter((name) => object[name] !== undefined)
    .map((name) => `${name} ${typeof object[name] === 'object' ? JSON.stringify(object[name]) : String(object[name])}`)
    .join(' ');

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // A process that has ended meanwhile, or a file that is not there.
    return undefined;
  }
};

function addresses(): string[] {
  return tool('ip', '-j', 'address').flatMap((link) =>
    ((link.addr_info as Json[] | undefined) ?? []).map(
      (address) => `${link.ifname} ${pick(address, 'local', 'prefixlen', 'scope')}`,
    ),
  );
}

function routes(): string[] {
  const fields = ['type', 'dst', 'gateway', 'via', 'dev', 'table', 'protocol', 'scope', 'prefsrc', 'metric', 'nexthops'];
  return ['-4', '-6'].flatMap((family) =>
    tool('ip', family, '-j', 'route', 'show', 'table', 'all')
      // Multicast routes and those to this machine itself come with links and addresses, some a moment later.
      .filter((route) => route.table !== 'local')
      .map((route) => `${family} ${pick(route, ...fields)}`),
  );
}

function rules(): string[] {
  return ['-4', '-6'].flatMap((family) =>
    tool('ip', family, '-j', 'rule').map((rule) => `${family} ${pick(rule, 'priority', 'src', 'dst', 'fwmark', 'iif', 'table')}`),
  );
}

/** Settings of the whole namespace that a router must change: a lab must not do so in the host's. */
function sysctls(): string[] {
  const names = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding', 'bridge/bridge-nf-call-iptables', 'netfilter/nf_conntrack_max'];
  return names.flatMap((name) => {
    const value = read(`/proc/sys/net/${name}`)?.trim();
    // The bridge's and conntrack's come with their modules.
    return value === undefined ? [] : [`net/${name} = ${value}`];
  });
}

/** Mount points and what is mounted. Field numbers: proc_pid_mountinfo(5). */
function mounts(): string[] {
  return (read('/proc/self/mountinfo') ?? '')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [own = '', source = ''] = line.split(' - ');
      const fields = own.split(' ');
      return `${fields[4]} (${source.split(' ')[0]} ${fields[3]})`;
    });
}

/** Processes that podnet started (PODNET_LAB in their environment) or that run podnet, zombies included. */
function processes(lab: string | undefined): { all: string[]; namespaces: string[] } {
  const all: string[] = [];
  const namespaces = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const environment = read(`/proc/${pid}/environ`)?.split('\0') ?? [];
    const words = read(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
    const of = environment.find((entry) => entry.startsWith('PODNET_LAB='))?.slice('PODNET_LAB='.length);
    const named = words.some((word) => /(^|\/)podnet$/.test(word) || word.includes('/run/podnet/'));
    if (of === undefined && !named) continue;
    if (lab !== undefined && of !== lab && !words.some((word) => word.split('/').includes(lab))) continue;
    all.push(`${pid}: ${words.join(' ').trim()}`);
    try {
      namespaces.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It has ended.
    }
  }
  return { all, namespaces: [...namespaces].map((name) => `${name} of a podnet process`) };
}

/** Everything below, whatever comes and goes meanwhile: other labs may be starting and ending. */
function below(directory: string): string[] {
  return entries(directory).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? [path, ...below(path)] : [path];
  });
}

function entries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    // It is not there, or not any more.
    return [];
  }
}

/** Control groups with podnet in their name. */
function cgroups(): string[] {
  const root = '/sys/fs/cgroup';
  const groups = (path: string, depth: number): string[] =>
    entries(path)
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(path, entry.name))
      .flatMap((entry) => (depth === 0 ? [entry] : [entry, ...groups(entry, depth - 1)]));
  return groups(root, 3).filter((path) => path.slice(root.length).includes('podnet'));
}

/**
 * What a lab could leave behind on this machine: links, addresses, routes, rules, nftables tables and sysctls of the network namespace it is
 * called in; mounts, processes of podnet and their namespaces, control groups, files. Take it before and after, and compare with `changes`.
 */
export function machineState({ lab, directories = defaultDirectories }: MachineOptions = {}): MachineState {
  const running = processes(lab);
  // A machine with other labs on it: only what names this one, where that can be told.
  const mine = (lines: string[]): string[] => (lab === undefined ? lines : lines.filter((line) => line.includes(lab)));
  const state: Record<string, string[]> = {
    link: tool('ip', '-j', '-d', 'link').map((link) => pick(link, 'ifname', 'link_type', 'mtu', 'master')),
    address: addresses(),
    route: routes(),
    rule: rules(),
    'nftables table': tool('nft', '-j', 'list', 'tables').flatMap((item) =>
      item.table ? [pick(item.table as Json, 'family', 'name')] : [],
    ),
    sysctl: sysctls(),
    mount: mine(mounts()),
    process: running.all,
    'network namespace': running.namespaces,
    'control group': mine(cgroups()),
    file: mine(directories.flatMap(below)),
  };
  for (const lines of Object.values(state)) lines.sort();
  return state;
}

/** What came and what went, a sentence each, e.g. `mount left behind: /run/netns/x (nsfs net:[4026532001])`. Empty when nothing changed. */
export function changes(before: MachineState, after: MachineState): string[] {
  const kinds = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...kinds].flatMap((kind) => [
    ...without(after[kind], before[kind]).map((line) => `${kind} left behind: ${line}`),
    ...without(before[kind], after[kind]).map((line) => `${kind} gone: ${line}`),
  ]);
}

/** The lines that `some` has more often than `others`: a second mount on one path counts. */
function without(some: readonly string[] = [], others: readonly string[] = []): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return some.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}
