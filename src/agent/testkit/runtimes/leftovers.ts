import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { eventually, type TestNode } from '../node.ts';

/** In the namespaces of `ownMachine` only the test's own runtime has anything there. */
const files = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => `file ${directory}/${name}`)
    : [];

/** Programs that stay with a pod for its life, zombies not counted. */
function processes(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const name = /^Name:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
      const isZombie = /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      return /^(containerd-shim|conmon|runc|sleep|httpd)/.test(name) && !isZombie ? [`process ${name}`] : [];
    } catch {
      return []; // it has ended
    }
  });
}

/** What pods hold on the node, in sentences: everything in its kernel, leases, namespaces, what libcni keeps of results, processes, mounts. */
function holdings(node: TestNode): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return [
    ...node.kernel(),
    // Where the search for the next free address goes on is no pod's.
    ...files(node.config.stateDir).filter((file) => !file.endsWith('/cursor')),
    ...['/run/netns', '/var/lib/cni'].flatMap(files).filter((file) => !/\/(results|networks|cache)$/.test(file)),
    ...processes(),
    // The machine's own mounts, on what is hidden here, come and go.
    ...mounts.flatMap((line) => (line.includes(`${node.world.directory}/`) ? [`mount ${line.split(' ')[1]}`] : [])),
  ].sort();
}

/**
 * Takes note of what there is.
 * @param notOurs what a runtime leaves behind itself
 * @returns a check that there is nothing more and nothing less, when deletion in the background has come to its end
 */
export function leftovers(node: TestNode, notOurs?: RegExp): () => Promise<void> {
  const ours = (): string[] => holdings(node).filter((line) => !notOurs?.test(line));
  const before = ours();
  return () =>
    eventually(() => {
      const after = ours();
      assert.deepEqual(
        { left: after.filter((line) => !before.includes(line)), gone: before.filter((line) => !after.includes(line)) },
        { left: [], gone: [] },
      );
    });
}
