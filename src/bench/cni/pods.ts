import { randomBytes } from 'node:crypto';
import { NetNs } from '../../kernel/netns.ts';
import type { Pod } from './contender.ts';

/** Empty pods in namespaces of their own; disposed of as a runtime does after DEL. */
export class Pods implements Disposable {
  readonly all: Pod[] = [];

  constructor(directory: string, count: number) {
    try {
      for (let i = 0; i < count; i++) {
        const containerId = randomBytes(32).toString('hex');
        const netns = `${directory}/${containerId.slice(0, 12)}`;
        NetNs.create(netns)[Symbol.dispose]();
        this.all.push({ containerId, netns });
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { netns } of this.all) NetNs.remove(netns);
  }
}
