import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { sys } from '../../kernel/sys.ts';

/** What the process would have done next when it was killed. */
class Killed extends Error {}

const changing = ['writeFileSync', 'renameSync', 'rmSync', 'unlinkSync', 'mkdirSync'] as const;
type Changing = (typeof changing)[number];

/**
 * From the k-th step on that would change the kernel or a file, this thread changes nothing more: the step, and every one behind it, throws. As kill -9 between two
 * steps, but that the process lives: set `isClosing` and close the agent before dispose, and start another behind it. What only reads is no step: a kill before it leaves the same.
 */
export class Standstill implements Disposable {
  /** Steps that were tried. */
  steps = 0;
  /** From here on what is closed says nothing of files that it cannot change. */
  isClosing = false;
  readonly #send = sys.send;
  readonly #files: Readonly<Record<Changing, unknown>>;

  /** @param allowed so many steps are done */
  constructor(allowed: number) {
    const step = (): void => {
      if (++this.steps > allowed) throw new Killed(`killed before step ${this.steps}`);
    };
    sys.send = (fd, data, length, flags) => {
      if (data instanceof Uint8Array && length >= 16 && isWrite(Buffer.from(data.buffer, data.byteOffset, 16))) step();
      return this.#send(fd, data, length, flags);
    };
    this.#files = Object.fromEntries(changing.map((name) => [name, fs[name]])) as Record<Changing, unknown>;
    for (const name of changing) {
      const real = fs[name] as (...args: unknown[]) => unknown;
      Object.assign(fs, {
        [name]: (...args: unknown[]) => {
          if (this.isClosing) return undefined;
          step();
          return real(...args);
        },
      });
    }
    syncBuiltinESMExports();
  }

  [Symbol.dispose](): void {
    sys.send = this.#send;
    Object.assign(fs, this.#files);
    syncBuiltinESMExports();
  }
}

/** Of struct nlmsghdr: type and flags (include/uapi/linux/netlink.h, rtnetlink.h, netfilter/nf_tables.h). */
function isWrite(header: Buffer): boolean {
  const type = header.readUInt16LE(4);
  const [subsystem, message] = [type >> 8, type & 0xff];
  // RTM_GET… are every fourth; NFT_MSG_GET… stand after each NFT_MSG_NEW…
  if (subsystem === 0) return message % 4 !== 2;
  return subsystem === 10 ? message % 3 !== 1 : message !== 1;
}
