import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { changes, type MachineState, machineState } from './machine.ts';
import { needsRoot } from './root.ts';

test('changes names what came and what went, and counts what is there twice', () => {
  const before = { mount: ['/a', '/b'], file: [] };
  const after = { mount: ['/a', '/a'], file: ['/run/podnet/x'] };
  assert.deepEqual(changes(before, before), []);
  assert.deepEqual(changes(before, after), ['mount left behind: /a', 'mount gone: /b', 'file left behind: /run/podnet/x']);
});

test('processes of a lab and files are seen when they come and go', needsRoot, async () => {
  const lab = `leak${process.pid}`;
  const directory = mkdtempSync(join(tmpdir(), `podnet-test-${lab}-`));
  const state = (): MachineState => machineState({ lab, directories: [directory] });
  const before = state();
  const child = spawn('sleep', ['60'], { env: { ...process.env, PODNET_LAB: lab }, stdio: 'ignore' });
  await once(child, 'spawn');
  writeFileSync(join(directory, 'socket'), '');
  const lines = changes(before, state());
  // The machine is shared with other tests: only what names this one is judged.
  assert.ok(lines.includes(`process left behind: ${child.pid}: sleep 60`), lines.join('\n'));
  assert.ok(lines.includes(`file left behind: ${directory}/socket`));
  assert.ok(lines.some((line) => line.startsWith('network namespace left behind: net:[')));
  child.kill();
  await once(child, 'exit');
  rmSync(directory, { recursive: true });
  const kinds = /^(process|file|network namespace|control group)/;
  assert.deepEqual(
    changes(before, state()).filter((line) => kinds.test(line)),
    [],
  );
});

test('links, addresses, routes, tables and mounts of the namespace are seen', needsRoot, () => {
  const module = new URL('./machine.js', import.meta.url).href;
  // In network and mount namespaces of its own, so that the machine stays as it is.
  const script = `
    import { execSync } from 'node:child_process';
    import { changes, machineState } from '${module}';
    const before = machineState({ directories: [] });
    execSync('ip link add leak0 type bridge; ip link set lo up; ip link set leak0 up; ip addr add 10.9.8.7/24 dev leak0; nft add table inet leaktable; mount -t tmpfs leak /mnt');
    console.log(JSON.stringify(changes(before, machineState({ directories: [] }))));`;
  const output = execFileSync('unshare', ['--net', '--mount', process.execPath, '--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  const lines = JSON.parse(output) as string[];
  for (const wanted of [
    /^link left behind: ifname leak0 /,
    /^address left behind: leak0 local 10\.9\.8\.7 prefixlen 24/,
    /^route left behind: -4 dst 10\.9\.8\.0\/24 dev leak0/,
    /^nftables table left behind: family inet name leaktable$/,
    /^mount left behind: \/mnt \(tmpfs \/\)$/,
  ])
    assert.ok(
      lines.some((line) => wanted.test(line)),
      `${wanted} in\n${lines.join('\n')}`,
    );
});
