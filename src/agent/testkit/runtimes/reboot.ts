import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { ip, run } from '../../../testing/judge.ts';
import { eventually, type TestNode } from '../node.ts';

/**
 * Takes what a reboot of the node takes, and leaves what is on disk: all processes die, /run and the folders named are empty, network namespaces, links and
 * podnet's part of the kernel are gone, and the kernel tells another boot id. Agent and runtime are stopped before. Only within `ownMachine`.
 * @param folders that would be below /run: what a runtime keeps of its present life
 */
export async function reboot(node: TestNode, ...folders: readonly string[]): Promise<void> {
  await loseRuntime(node, ...folders);
  await emptyKernel(node);
  const [file, shown] = [`${node.world.directory}/boot_id`, '/proc/sys/kernel/random/boot_id'];
  writeFileSync(file, `${randomUUID()}\n`);
  // Whoever reads it is in this mount namespace. That of an earlier test is gone by now.
  if (mountsBelow([shown]).length > 0) run(node.ns.path, 'umount', shown);
  run(node.ns.path, 'mount', '--bind', file, shown);
}

/** Takes what a runtime has: its processes, the network namespaces of its pods, and the folders named. Nobody tells podnet. Only within `ownMachine`. */
export async function loseRuntime(node: TestNode, ...folders: readonly string[]): Promise<void> {
  await killAll();
  for (const path of mountsBelow(['/run/', ...folders.map((folder) => `${folder}/`)]))
    run(node.ns.path, 'umount', '--lazy', path);
  for (const folder of ['/run', ...folders].filter((one) => existsSync(one)))
    for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`, { recursive: true, force: true });
}

/** Every process of this PID namespace but for its init, which reaps them, and this one. */
async function killAll(): Promise<void> {
  const others = (): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 1 && pid !== process.pid && isAlive(pid));
  await eventually(() => {
    for (const pid of others()) process.kill(pid, 'SIGKILL');
    assert.deepEqual(others(), []);
  });
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // it has ended
  }
}

/** Mount points below the folders, the innermost first. The machine's own are hidden below the /run of `ownMachine`, also those that come meanwhile. */
function mountsBelow(folders: readonly string[]): string[] {
  const paths = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  const own = paths.slice(paths.lastIndexOf('/run') + 1).filter((path) => existsSync(path));
  return own.filter((path) => folders.some((folder) => path.startsWith(folder))).reverse();
}

async function emptyKernel({ ns: { path } }: TestNode): Promise<void> {
  // The veths of pods went with their namespaces, a moment later.
  const links = (): string[] =>
    ip(path, 'link').flatMap(({ ifname }) => (/^(pod|cbr0)/.test(String(ifname)) ? [String(ifname)] : []));
  await eventually(() =>
    assert.deepEqual(
      links().filter((name) => /^pod[0-9a-f]{8}$/.test(name)),
      [],
    ),
  );
  run(path, 'nft', 'delete', 'table', 'inet', 'podnet');
  for (const name of links()) run(path, 'ip', 'link', 'delete', name);
  for (const family of ['-4', '-6']) {
    run(path, 'ip', family, 'route', 'flush', 'proto', '112');
    run(path, 'sh', '-c', `echo 0 > /proc/sys/net/ipv${family[1]}/conf/all/forwarding`);
  }
}
