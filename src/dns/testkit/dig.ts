import { execFile } from 'node:child_process';
import { accessSync } from 'node:fs';
import { promisify } from 'node:util';
import { needsTool, requireTool, type Tool } from '../../testing/tools.ts';

const present = (path: string): boolean => {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
};

const path = '/usr/bin/dig';
const tool: Tool = { name: 'dig', path, package: 'bind9-dnsutils', present: present(path) };

/** Options for node:test: skips without dig. */
export const needsDig = needsTool(tool);

export interface Dug {
  status: string;
  /** `name ttl type data` with single blanks. */
  answers: string[];
  text: string;
}

/** BIND's own client inside the namespace on `netns`. One try; it waits ten seconds. */
export async function dig(netns: string, server: string, ...args: string[]): Promise<Dug> {
  const command = [`--net=${netns}`, requireTool(tool), '+tries=1', '+time=10', `@${server}`, ...args];
  const { stdout: text } = await promisify(execFile)('nsenter', command, { encoding: 'utf8' });
  const section = /;; ANSWER SECTION:\n([^]*?)\n\n/.exec(text)?.[1] ?? '';
  const answers = section.split('\n').filter(Boolean);
  return { text, status: /status: (\w+)/.exec(text)?.[1] ?? '', answers: answers.map((line) => line.replaceAll(/\s+/g, ' ')) };
}
