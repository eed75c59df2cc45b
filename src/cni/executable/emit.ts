import fs from 'node:fs';
import { ForeignFileError, putInPlace } from '../put-in-place.ts';
import { arm64 } from './arm64.ts';
import { Assembler } from './assembler.ts';
import { elf } from './elf.ts';
import { program } from './program.ts';
import { occupantOf } from './recognize.ts';
import { x64 } from './x64.ts';

/** As `process.arch` names it. */
export type Architecture = 'x64' | 'arm64';

export interface ExecutableOptions {
  arch: Architecture;
  /** Where the agent listens, 1 to 107 bytes. */
  socketPath: string;
  /** Default 110 s: less than the two minutes after which kubelet gives a sandbox up. */
  timeoutSeconds?: number;
}

/** The CNI executable as the bytes of a static ELF file. @throws RangeError when the socket path does not fit into a sockaddr_un. */
export function emitExecutable(options: ExecutableOptions): Buffer {
  const { code, machine } = assemble(options);
  return elf(machine, code.link());
}

/** The same as text: offset, bytes, instruction. Offsets count from the entry point, 0xb0 in the file. */
export function executableListing(options: ExecutableOptions): string {
  return assemble(options).code.listing();
}

/**
 * Puts the executable in place by rename, so that a runtime that starts it meanwhile finds the old file or the new one, never half of it
 * (CNI14; a running file cannot be truncated anyway: ETXTBSY). The same file is left alone.
 * @returns whether it was written; @throws ForeignFileError when somebody else's file has the name
 */
export function writeExecutable(file: string, options: ExecutableOptions): boolean {
  const bytes = emitExecutable(options);
  const occupant = occupantOf(file);
  if (occupant.kind === 'foreign') throw new ForeignFileError(file, occupant.what);
  if (occupant.kind === 'own' && isThere(file, bytes)) return false;
  putInPlace(file, bytes, 0o755);
  return true;
}

/** @throws RangeError for a processor that is neither of the two. */
export function architectureOf(processArch: string): Architecture {
  if (processArch === 'x64' || processArch === 'arm64') return processArch;
  throw new RangeError(`podnet's CNI executable exists for x64 and arm64, this machine is ${processArch}`);
}

function assemble(options: ExecutableOptions): { code: Assembler; machine: number } {
  const code = new Assembler();
  const target = { x64, arm64 }[options.arch](code);
  program(code, target, { socketPath: options.socketPath, timeoutSeconds: options.timeoutSeconds ?? 110 });
  return { code, machine: target.machine };
}

function isThere(file: string, bytes: Buffer): boolean {
  return (fs.statSync(file).mode & 0o777) === 0o755 && fs.readFileSync(file).equals(bytes);
}
