import { writeFileSync } from 'node:fs';
import { arm64 } from '../../cni/executable/arm64.ts';
import { Assembler } from '../../cni/executable/assembler.ts';
import { elf } from '../../cni/executable/elf.ts';
import { architectureOf } from '../../cni/executable/emit.ts';
import { x64 } from '../../cni/executable/x64.ts';
import { type Call, type Contender, environment, type Pod } from './contender.ts';

/** Starts a static executable that ends at once: what the measuring itself takes. */
export class Nothing implements Contender {
  readonly id = 'nothing';
  readonly title = 'nothing: a program that exits';
  readonly attaches = false;
  readonly warmUp = 0;
  readonly #path: string;

  constructor(directory: string) {
    this.#path = `${directory}/nothing`;
    const code = new Assembler();
    const target = { x64, arm64 }[architectureOf(process.arch)](code);
    target.constant('a0', 0);
    target.systemCall('exit_group');
    writeFileSync(this.#path, elf(target.machine, code.link()), { mode: 0o755 });
  }

  *add(pod: Pod): Call {
    yield { path: this.#path, env: environment('ADD', pod, '/'), input: '{}' };
  }

  *delete(pod: Pod): Call {
    yield { path: this.#path, env: environment('DEL', pod, '/'), input: '{}' };
  }

  daemonCpuUs = (): Promise<number> => Promise.resolve(0);
  isIdle = (): boolean => true;
}
