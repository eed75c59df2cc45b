import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { labConfig } from '../lab/config.ts';
import { podnetExecutable } from '../lab/supervisor.ts';

/** With each option and command on one line. */
const helpOf = (...command: string[]): string => {
  const { status, stdout } = spawnSync(process.execPath, [podnetExecutable, ...command, '--help'], { encoding: 'utf8' });
  assert.equal(status, 0, command.join(' '));
  return stdout.replaceAll(/\n {8,}/g, ' ').replaceAll(/(?<=^[A-Z][^:]*)\n(?=\w)/gm, ' ');
};
const people = [
  ['lab'],
  ['lab', 'up'],
  ['lab', 'down'],
  ['lab', 'list'],
  ['status'],
  ['svc'],
  ['policy'],
  ['policy', 'check'],
  ['policy', 'explain'],
  ['policy', 'matrix'],
  ['policy', 'denials'],
  ['diff'],
  ['ipam'],
  ['ipam', 'ls'],
  ['cni'],
  ['cni', 'install'],
  ['cni', 'remove'],
  ['verify'],
  ['agent'],
  ['dns'],
  ['dns', 'query'],
  ['dns', 'log'],
  ['dns', 'translate'],
];

test('the help names every command for people and none for the lab itself', () => {
  const help = helpOf();
  for (const [name] of people) assert.match(help, new RegExp(`^  ${name} `, 'm'));
  assert.match(help, /^ {2}kubectl /m);
  assert.doesNotMatch(help, /lab-runner|lab-control/);
  for (const line of help.split('\n').filter((one) => one.startsWith('  podnet lab up')))
    assert.equal(spawnSync(process.execPath, [podnetExecutable, ...line.trim().split(' ').slice(1), '--help']).status, 0, line);
});

test('every command says what it does, and every option what it means', () => {
  for (const command of people) {
    const help = helpOf(...command);
    const [usage, , description] = help.split('\n');
    assert.match(usage!, new RegExp(`^Usage: podnet ${command.join(' ')} \\[options\\]`));
    assert.match(description!, /^\w.{15,}/, command.join(' '));
    for (const line of help.split('\n').filter((one) => /^ {2}-/.test(one))) assert.match(line, /^ {2}-.* {2,}\S.{4,}/, line);
  }
});

test('the defaults that lab up tells are those that it takes', () => {
  const { name, nodes, ipFamily, attach, backend } = labConfig({});
  const told = Object.fromEntries(
    Array.from(helpOf('lab', 'up').matchAll(/^ +(--[a-z-]+) .*\((\S+)\)$/gm), (match) => [match[1], match[2]]),
  );
  assert.deepEqual(told, {
    ...{ '--name': name, '--nodes': String(nodes.length), '--ip-family': ipFamily, '--attach': attach, '--backend': backend },
    ...{ '--links': '1', '--timeout': '120' },
  });
});
