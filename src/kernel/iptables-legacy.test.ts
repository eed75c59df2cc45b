import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { readLegacyTables } from './iptables-legacy.ts';

const options = existsSync('/proc/net/ip_tables_names') ? needsRoot : { skip: 'this kernel has no ip_tables' };

/** As `iptables-legacy -S` lists them. */
const listed = (path: string, tool: string): string[] => run(path, tool, '-S').split('\n').filter(Boolean);

test('SD30: tables of iptables-legacy are read as they are listed, and none is made by asking', options, () => {
  using world = new TestWorld('legacy');
  const { ns, path } = world.namespace('node');
  assert.deepEqual(readLegacyTables(ns), []);
  assert.equal(run(path, 'cat', '/proc/net/ip_tables_names'), '');
  for (const [tool, cidr] of [
    ['iptables-legacy', '10.1.0.0/20'],
    ['ip6tables-legacy', 'fd01::/52'],
  ] as const) {
    run(path, tool, '-N', 'THEIRS');
    run(
      path,
      tool,
      '-A',
      'FORWARD',
      '!',
      '-s',
      cidr,
      '-i',
      'eth+',
      '-p',
      'tcp',
      '-m',
      'multiport',
      '--dports',
      '80,443',
      '-j',
      'THEIRS',
    );
    run(path, tool, '-A', 'FORWARD', '-g', 'THEIRS');
    run(path, tool, '-A', 'THEIRS', '-o', 'docker0', '-j', 'DROP');
    run(path, tool, '-A', 'THEIRS', '-m', 'comment', '--comment', 'counts only');
    run(path, tool, '-P', 'FORWARD', 'DROP');
  }
  const tables = readLegacyTables(ns);
  assert.deepEqual(
    tables.map(({ family, name }) => `${family} ${name}`),
    ['ip filter', 'ip6 filter'],
  );
  for (const [i, tool] of ['iptables-legacy', 'ip6tables-legacy'].entries()) {
    const { chains } = tables[i]!;
    const policies = [...chains.values()].map(({ name, hook }) =>
      hook ? `-P ${name} ${hook.policy.toUpperCase()}` : `-N ${name}`,
    );
    assert.deepEqual(
      policies,
      listed(path, tool).filter((line) => !line.startsWith('-A')),
    );
    const verdicts = (name: string): string[] =>
      chains.get(name)!.rules.map(({ expressions }) => {
        const last = expressions.at(-1)!;
        return `${expressions.map((one) => one.name).join(' ')}: ${last.name === 'immediate' ? last.data : ''}`;
      });
    assert.deepEqual(verdicts('FORWARD'), [
      'payload bitwise cmp meta cmp meta cmp match counter immediate: jump THEIRS',
      'counter immediate: goto THEIRS',
    ]);
    assert.deepEqual(verdicts('THEIRS'), ['meta cmp counter immediate: drop', 'match counter: ', 'counter immediate: return']);
  }
});
