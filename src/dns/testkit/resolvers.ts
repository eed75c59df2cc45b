import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { drillBinary, needsTool, requireTool, type Tool, unboundHostBinary } from '../../testing/tools.ts';

/** Programs of others that ask: each reads what the server says with a library of its own. */

export interface Resolved {
  rcode: string;
  /** Data of the answers of the type that was asked for, in lower case, names without their last dot, sorted. */
  data: string[];
}

export interface Resolver {
  readonly tool: Tool;
  /** What to call it with. */
  arguments(question: { server: string; name: string; type: string; tcp: boolean; folder: string }): string[];
  read(text: string, type: string): Resolved;
}

const installed = (name: string, debianPackage: string): Tool => {
  const path = `/usr/bin/${name}`;
  return { name, path, package: debianPackage, present: existsSync(path) };
};

const normal = (data: string): string => data.toLowerCase().replaceAll(/\s+/g, ' ').replaceAll(/\.(?=$| )/g, '').trim();

/** Lines as in a zone file, below a heading. */
function sections(text: string, type: string, rcode: RegExp): Resolved {
  const section = /;; ANSWER SECTION:\n([^]*?)(?:\n\n|\n;;|$)/.exec(text)?.[1] ?? '';
  const data = section.split('\n').flatMap((line) => {
    const [, of, rest] = /^\S+\s+\d+\s+IN\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return of === type ? [normal(rest!)] : [];
  });
  return { rcode: rcode.exec(text)?.[1] ?? `none: ${text.slice(0, 300)}`, data: data.sort() };
}

/** BIND's. */
const dig: Resolver = {
  tool: installed('dig', 'bind9-dnsutils'),
  arguments: ({ server, name, type, tcp }) => [`@${server}`, '+tries=1', '+time=10', tcp ? '+tcp' : '+notcp', name, type],
  read: (text, type) => sections(text, type, /status: (\w+)/),
};

/** Knot's. */
const kdig: Resolver = {
  tool: installed('kdig', 'knot-dnsutils'),
  arguments: ({ server, name, type, tcp }) => [`@${server}`, '+retry=0', '+time=10', ...(tcp ? ['+tcp'] : []), name, type],
  read: (text, type) => sections(text, type, /status: (\w+)/),
};

/** That of ldns. */
const drill: Resolver = {
  tool: drillBinary(),
  arguments: ({ server, name, type, tcp }) => [tcp ? '-t' : '-u', '-a', `@${server}`, name, type],
  read: (text, type) => sections(text, type, /rcode: (\w+)/),
};

/** unbound's library, which asks with random case and believes only what keeps it. */
const unboundHost: Resolver = {
  tool: unboundHostBinary(),
  arguments({ server, name, type, tcp, folder }) {
    const file = join(folder, `unbound-${server.replaceAll(':', '-')}-${tcp}.conf`);
    const reverse = ['10.in-addr.arpa', '2.0.192.in-addr.arpa', 'd.f.ip6.arpa'].map((zone) => `  local-zone: "${zone}." nodefault`);
    const lines = ['server:', '  use-caps-for-id: yes', '  do-ip6: yes', `  tcp-upstream: ${tcp ? 'yes' : 'no'}`, ...reverse];
    if (!existsSync(file)) writeFileSync(file, `${[...lines, 'forward-zone:', '  name: "."', `  forward-addr: ${server}`].join('\n')}\n`);
    return ['-C', file, '-t', type, '-v', name];
  },
  read(text, type) {
    const lines = text.split('\n').map((line) => line.replace(/ \(insecure\)$/, ''));
    const rcode = /: \d+\((\w+)\)/.exec(text)?.[1] ?? 'NOERROR';
    const data = lines.flatMap((line) => {
      const found = /(?:has address|has IPv6 address|domain name pointer|has \w+ record|is an alias for) (.*)$/.exec(line);
      // Of the aliases on the way to what was asked for.
      return found && !line.includes(' is an alias for ') ? [normal(found[1]!)] : [];
    });
    return { rcode, data: data.sort() };
  },
};

export const resolvers: readonly Resolver[] = [dig, kdig, drill, unboundHost];

/** Options for node:test. */
export const needsResolver = ({ tool }: Resolver): { skip: string | false } => needsTool(tool);

/** Asks from inside the namespace on `netns`. @throws Error with what the program said when it failed */
export async function ask(
  resolver: Resolver,
  { netns, ...question }: { netns: string; server: string; name: string; type: string; tcp: boolean; folder: string },
): Promise<Resolved> {
  const args = [`--net=${netns}`, requireTool(resolver.tool), ...resolver.arguments(question)];
  // unbound-host ends with 1 where there is nothing.
  const { stdout } = await promisify(execFile)('nsenter', args, { encoding: 'utf8' }).catch((error: { stdout: string }) => error);
  return resolver.read(stdout, question.type);
}
