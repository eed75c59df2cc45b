import { join } from 'node:path';

/** Where every lab keeps its state; each lab has a folder of its own. */
export const labsDir = '/run/podnet';
const netnsDir = '/run/netns';

/** Names and paths of one lab: everything that a lab makes on this machine is named here, so that `down` can find it again. */
export class LabNames {
  readonly lab: string;
  readonly dir: string;

  constructor(lab: string) {
    this.lab = lab;
    this.dir = join(labsDir, lab);
  }

  /** Prefix of every network namespace of the lab, in `/run/netns`. */
  get netnsPrefix(): string {
    return `podnet-${this.lab}-`;
  }

  netns(suffix: string): string {
    return join(netnsDir, this.netnsPrefix + suffix);
  }

  get underlay(): string {
    return this.netns('underlay');
  }

  get router(): string {
    return this.netns('router');
  }

  get outside(): string {
    return this.netns('outside');
  }

  get file(): string {
    return join(this.dir, 'lab.json');
  }

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  /** What `up` tells the control process. */
  get controlConfig(): string {
    return join(this.dir, 'control.json');
  }

  get controlSocket(): string {
    return join(this.dir, 'control.sock');
  }

  get pidsDir(): string {
    return join(this.dir, 'pids');
  }

  log(process: string): string {
    return join(this.dir, 'logs', `${process}.log`);
  }

  node(node: string): NodePaths {
    return new NodePaths(this, node);
  }
}

/** Paths of one node of a lab. */
class NodePaths {
  readonly name: string;
  readonly dir: string;
  readonly netns: string;

  constructor(lab: LabNames, node: string) {
    this.name = node;
    this.dir = join(lab.dir, 'nodes', node);
    this.netns = lab.netns(node);
  }

  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  get agentSocket(): string {
    return this.path('agent.sock');
  }

  get agentStatusSocket(): string {
    return this.path('agent-status.sock');
  }

  get runnerSocket(): string {
    return this.path('runner.sock');
  }

  get dnsHealthSocket(): string {
    return this.path('dns.sock');
  }

  get kubeconfig(): string {
    return this.path('kubeconfig');
  }

  /** Where the CNI executable stands. */
  get cniBin(): string {
    return this.path('cni');
  }

  get cniConf(): string {
    return this.path('net.d');
  }
}

const longest = 24;

/**
 * A lab's name becomes part of file names and network namespaces. It has no dash, so that `podnet-a-` never begins the name of another lab's
 * namespace, and is short, since socket paths under it must fit into 107 bytes.
 * @returns what is wrong, or undefined
 */
export function faultOfLabName(name: string): string | undefined {
  return fault(name, 'lab', /^[a-z0-9]+$/, 'lower-case letters and digits');
}

/** @returns what is wrong, or undefined */
export function faultOfNodeName(name: string): string | undefined {
  return fault(
    name,
    'node',
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    'lower-case letters, digits and dashes, with a letter or digit at both ends',
  );
}

function fault(name: string, what: string, allowed: RegExp, use: string): string | undefined {
  if (!allowed.test(name)) return `"${name}" cannot name a ${what}: use ${use}`;
  return name.length > longest
    ? `"${name}" is too long to name a ${what}: ${name.length} characters, at most ${longest}`
    : undefined;
}
