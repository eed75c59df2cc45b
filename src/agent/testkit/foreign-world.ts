import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { Conntrack } from '../../kernel/conntrack.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { readRuleset } from '../../kernel/nftables/index.ts';
import { run } from '../../testing/judge.ts';
import type { AgentConfig } from '../config.ts';
import { eventually, TestNode } from './node.ts';
import { type Question, reaches } from './reach.ts';
import { Echo } from './traffic.ts';

/** Writes rules as their owner does. */
export function write(node: TestNode, commands: readonly string[]): void {
  for (const command of commands) run(node.ns.path, 'sh', '-c', command);
}

/** Of others, byte for byte; without counters, which packets change. */
export const foreignRules = (node: TestNode): string =>
  run(node.ns.path, 'nft', '-s', 'list', 'ruleset').replace(/^table inet podnet \{.*?^\}\n/ms, '') + legacyRules(node);

const hasLegacy = existsSync('/proc/net/ip_tables_names');
const legacyRules = (node: TestNode): string =>
  hasLegacy ? run(node.ns.path, 'iptables-legacy-save').replace(/^#.*\n|\[\d+:\d+\]/gm, '') : '';

export const clear = (node: TestNode): void => {
  for (const { family, name } of readRuleset(node.ns.ns, { skip: (_, table) => table === 'podnet' }).tables)
    run(node.ns.path, 'nft', 'delete', 'table', family, name);
  if (!hasLegacy) return;
  run(node.ns.path, 'iptables-legacy', '-P', 'FORWARD', 'ACCEPT');
  for (const table of ['filter', 'nat']) for (const verb of ['-F', '-X']) run(node.ns.path, 'iptables-legacy', '-t', table, verb);
};

/** What the agent tells once it has looked at the rules as they are now. */
export const told = (node: TestNode): Promise<{ problems: string[]; warnings: string[] }> => {
  // So that there is a change at all: podnet's own transactions are no reason to look.
  write(node, ['nft add table ip podnet-test', 'nft delete table ip podnet-test']);
  const now = readRuleset(node.ns.ns).generation;
  return eventually(() => {
    const { foreign, problems, warnings } = node.status();
    assert.ok(foreign.generation >= now, `looked at generation ${foreign.generation}, not at ${now} yet`);
    return { problems, warnings };
  });
};

const port = 8080;

export type Asked = Question & { flow: string; family: string };

/** A node with two pods and a pod of the neighbour node, all of which say back what they hear. */
export class World implements AsyncDisposable {
  readonly node: TestNode;
  readonly questions: Asked[];
  readonly #echoes: Echo[] = [];

  private constructor(node: TestNode, questions: Asked[], echoes: Echo[]) {
    this.node = node;
    this.questions = questions;
    this.#echoes = echoes;
  }

  static async make(overrides: Partial<AgentConfig> = {}): Promise<World> {
    const node = await TestNode.make(overrides);
    try {
      return await World.#around(node);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #around(node: TestNode): Promise<World> {
    await node.startReady();
    const [a, b] = [await node.addPod('a'), await node.addPod('b')];
    const far = ['10.1.1.2', 'fd01:0:0:1::2'];
    for (const [i, address] of far.entries()) {
      node.peer.own(address);
      // It answers from the address that was asked, as pods do.
      const [cidr, via] = [['10.1.0.0/24', '192.0.2.1'] as const, ['fd01::/64', '2001:db8::1'] as const][i]!;
      run(node.peer.path, 'ip', 'route', 'replace', cidr, 'via', via, 'src', address);
    }
    await node.setEndpoints([b.addresses[0]!], [b.addresses[1]!]);
    // Until the Service leads to the other node no more.
    await eventually(() => assert.ok(!node.ruleset().some((line) => /"(10\.1\.1\.2|fd01:0:0:1::2)"/.test(line))));
    await node.settled();
    const flows: [flow: string, from: NetNs, to: readonly string[], port: number, sources?: readonly string[]][] = [
      ['pods of this node to each other', a.ns.ns, b.addresses, port],
      ['pods to pods of other nodes', a.ns.ns, far, port],
      ['pods of other nodes to pods of this one', node.peer.ns, a.addresses, port, far],
      ['this node to its pods', node.ns.ns, b.addresses, port],
      ['pods to Services', a.ns.ns, ['10.96.0.80', 'fd96::80'], 80],
    ];
    const questions = flows.flatMap(([flow, from, to, at, sources]) =>
      (['tcp', 'udp'] as const).flatMap((protocol) =>
        ['IPv4', 'IPv6'].map((family, i): Asked => {
          const source = sources === undefined ? {} : { source: sources[i]! };
          return { flow, family, protocol, from, ...source, to: to[i]!, port: at };
        }),
      ),
    );
    const echoes = await Promise.all([a.ns, b.ns, node.peer].map(({ ns }) => Echo.start(ns, port)));
    return new World(node, questions, echoes);
  }

  /** What packets of these purposes really do, a line for each that is lost. @param lost which are expected to be: they are waited for less long */
  async lost(expected: ReadonlySet<string>): Promise<string[]> {
    this.#forgetConnections();
    const results = await Promise.all(
      this.questions.map(async (question) => {
        const name = nameOf(question);
        return (await reaches(question, expected.has(name) ? 600 : 15_000)) ? [] : [name];
      }),
    );
    return results.flat().sort();
  }

  /** Rules that let established connections pass would let a question pass whose source port an earlier one had. */
  #forgetConnections(): void {
    using connections = Conntrack.open(this.node.ns.ns);
    connections.deleteAll(connections.list());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const echo of this.#echoes) echo[Symbol.dispose]();
    await this.node[Symbol.asyncDispose]();
  }
}

const nameOf = ({ family, protocol, flow }: Asked): string => `${family} ${protocol} ${flow}`;

/** The questions that a problem says are lost. */
export const claimed = (questions: readonly Asked[], problems: readonly string[]): string[] =>
  questions
    .filter(({ flow, family, protocol }) =>
      problems.some((problem) => {
        const match = /(?:drops|rejects) (IPv4|IPv6|IPv4 and IPv6) (?:(TCP|UDP) )?packets of (.*); mend it with/.exec(problem);
        const [, families = '', only, flows = ''] = match ?? [];
        return (
          families.includes(family) &&
          (only ?? protocol.toUpperCase()) === protocol.toUpperCase() &&
          flows.split(', of ').includes(flow)
        );
      }),
    )
    .map(nameOf)
    .sort();
