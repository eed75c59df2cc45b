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

/** As the resolver printed it. */
export interface Printed extends Resolved {
  /** TTLs of these answers, in the same order; undefined where the program prints none. */
  ttls?: number[];
  /** TTL and minimum of the SOA that comes with an absence (RFC 2308). */
  absence?: { ttl: number; minimum: number };
}

export interface Resolver {
  readonly tool: Tool;
  /** What to call it with. */
  arguments(question: { server: string; name: string; type: string; tcp: boolean; folder: string }): string[];
  /** Answers in the order in which they came. */
  read(text: string, type: string): Printed;
}

const installed = (name: string, debianPackage: string): Tool => {
  const path = `/usr/bin/${name}`;
  return { name, path, package: debianPackage, present: existsSync(path) };
};

const normal = (data: string): string => data.toLowerCase().replaceAll(/\s+/g, ' ').replaceAll(/\.(?=$| )/g, '').trim();

/** Lines as in a zone file, below a heading. */
function sections(text: string, type: string, rcode: RegExp): Printed {
  const section = /;; ANSWER SECTION:\n([^]*?)(?:\n\n|\n;;|$)/.exec(text)?.[1] ?? '';
  const records = section.split('\n').flatMap((line) => {
    const [, ttl, of, rest] = /^\S+\s+(\d+)\s+IN\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return of === type ? [{ ttl: Number(ttl), data: normal(rest!) }] : [];
  });
  const soa = /;; AUTHORITY SECTION:\n\S+\s+(\d+)\s+IN\s+SOA\s.*\s(\d+)$/m.exec(text);
  return {
    rcode: rcode.exec(text)?.[1] ?? `none: ${text.slice(0, 300)}`,
    ...{ data: records.map(({ data }) => data), ttls: records.map(({ ttl }) => ttl) },
    ...(soa ? { absence: { ttl: Number(soa[1]), minimum: Number(soa[2]) } } : {}),
  };
}

/** BIND's. */
const dig: Resolver = {
  tool: installed('dig', 'bind9-dnsutils'),
  arguments: ({ server, name, type, tcp }) => [`@${server}`, '+tries=1', '+time=60', tcp ? '+tcp' : '+notcp', name, type],
  read: (text, type) => sections(text, type, /status: (\w+)/),
};

/** Knot's. */
const kdig: Resolver = {
  tool: installed('kdig', 'knot-dnsutils'),
  arguments: ({ server, name, type, tcp }) => [`@${server}`, '+retry=0', '+time=60', ...(tcp ? ['+tcp'] : []), name, type],
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
    // In the order of the answer, not in one of its own.
    const lines = ['server:', '  use-caps-for-id: yes', '  rrset-roundrobin: no', '  do-ip6: yes', `  tcp-upstream: ${tcp ? 'yes' : 'no'}`, ...reverse];
    if (!existsSync(file)) writeFileSync(file, `${[...lines, 'forward-zone:', '  name: "."', `  forward-addr: ${server}`].join('\n')}\n`);
    return ['-C', file, '-t', type, '-v', name];
  },
  read(text) {
    const lines = text.split('\n').map((line) => line.replace(/ \(insecure\)$/, ''));
    const rcode = /: \d+\((\w+)\)/.exec(text)?.[1] ?? 'NOERROR';
    const data = lines.flatMap((line) => {
      const found = /(?:has address|has IPv6 address|domain name pointer|has \w+ record|is an alias for) (.*)$/.exec(line);
      // Of the aliases on the way to what was asked for.
      return found && !line.includes(' is an alias for ') ? [normal(found[1]!)] : [];
    });
    return { rcode, data };
  },
};

export const resolvers: readonly Resolver[] = [dig, kdig, drill, unboundHost];

/** Options for node:test. */
export const needsResolver = ({ tool }: Resolver): { skip: string | false } => needsTool(tool);

export interface Question {
  netns: string;
  server: string;
  name: string;
  type: string;
  tcp: boolean;
  folder: string;
}

/** Asks from inside the namespace on `netns`. @throws Error with what the program said when it failed */
export async function ask(resolver: Resolver, question: Question): Promise<Resolved> {
  const { rcode, data } = await askInFull(resolver, question);
  return { rcode, data: data.sort() };
}

/** The same, with the order of the answers and how long they hold. */
export async function askInFull(resolver: Resolver, { netns, ...question }: Question): Promise<Printed> {
  const args = [`--net=${netns}`, requireTool(resolver.tool), ...resolver.arguments(question)];
  // unbound-host ends with 1 where there is nothing.
  const { stdout } = await promisify(execFile)('nsenter', args, { encoding: 'utf8' }).catch((error: { stdout: string }) => error);
  return resolver.read(stdout, question.type);
}
