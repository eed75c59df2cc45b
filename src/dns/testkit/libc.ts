import { execFile, execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { needsTool, requireTool, type Tool } from '../../testing/tools.ts';

/** The two C libraries that containers are made with, as resolvers of a pod: a program asks for a name as every program does, with getaddrinfo. */

const compilers: Record<Libc, Tool> = {
  glibc: tool('gcc', '/usr/bin/gcc', 'gcc'),
  musl: tool('musl-gcc', '/usr/bin/musl-gcc', 'musl-tools'),
};

export type Libc = 'glibc' | 'musl';
export const libcs: readonly Libc[] = ['glibc', 'musl'];

function tool(name: string, path: string, debianPackage: string): Tool {
  return { name, path, package: debianPackage, present: existsSync(path) };
}

/** Options for node:test. */
export const needsLibc = (libc: Libc): { skip: string | false } => needsTool(compilers[libc]);

/** Prints each address once, in the order of the resolver, or the error's name; then the canonical name. */
const source = `
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
int main(int argc, char **argv) {
  struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME }, *all, *one;
  if (argc > 2) hints.ai_family = strcmp(argv[2], "6") ? AF_INET : AF_INET6;
  int error = getaddrinfo(argv[1], "80", &hints, &all);
  if (error) { printf("%s\\n", gai_strerror(error)); return 1; }
  for (one = all; one; one = one->ai_next) {
    char host[NI_MAXHOST];
    getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, 0, 0, NI_NUMERICHOST);
    printf("%s\\n", host);
  }
  printf("%s\\n", all->ai_canonname ? all->ai_canonname : "-");
  return 0;
}
`;

/** Compiles the program into a folder of the test. @returns its path */
export function buildLookup(libc: Libc, folder: string): string {
  const compiler = requireTool(compilers[libc]);
  const file = join(folder, `lookup-${libc}`);
  writeFileSync(`${file}.c`, source);
  // glibc's own resolver cannot be linked statically.
  execFileSync(compiler, ['-O1', ...(libc === 'musl' ? ['-static'] : []), '-o', file, `${file}.c`]);
  return file;
}

export interface LookedUp {
  found: boolean;
  /** Addresses, sorted; the canonical name when there are any; or the error's text. */
  lines: string[];
}

/**
 * Looks a name up as a program of a pod would: in the network namespace on `netns`, with `/etc/resolv.conf` of the pod.
 * @param nsswitch without it, what this machine has beside DNS (mdns, systemd) would answer, too
 */
export async function lookup(
  program: string,
  { netns, resolvConf, nsswitch }: { netns: string; resolvConf: string; nsswitch: string },
  name: string,
  family = '',
): Promise<LookedUp> {
  const script = `mount --bind ${resolvConf} /etc/resolv.conf && { [ ! -e /etc/nsswitch.conf ] || mount --bind ${nsswitch} /etc/nsswitch.conf; } && exec ${program} "$@"`;
  const args = [`--net=${netns}`, 'unshare', '--mount', 'sh', '-c', script, 'sh', name, ...(family ? [family] : [])];
  try {
    const { stdout } = await promisify(execFile)('nsenter', args, { encoding: 'utf8' });
    return { found: true, lines: stdout.trim().split('\n').sort() };
  } catch (error) {
    const { stdout, code } = error as { stdout: string; code: number };
    if (code !== 1) throw error;
    return { found: false, lines: [stdout.trim()] };
  }
}
