import fs from 'node:fs';

/** In every executable that podnet ever emitted, beside the path of its socket: see program.ts. */
const mark = `"msg":"podnet's agent `;
/** Of any version; today's have less than 2 KB. */
const largest = 16_384;

export type Occupant = { kind: 'nothing' } | { kind: 'own' } | { kind: 'foreign'; what: string };

/** What a plugin's place holds, by its content: podnet's executable of whatever version and socket, or somebody else's file. */
export function occupantOf(file: string): Occupant {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!stat) return { kind: 'nothing' };
  if (stat.isSymbolicLink()) return { kind: 'foreign', what: `it is a symbolic link to ${fs.readlinkSync(file)}` };
  if (!stat.isFile()) return { kind: 'foreign', what: stat.isDirectory() ? 'it is a directory' : 'it is no file' };
  // What a power cut may leave of a file that was not synced; nobody's plugin is empty.
  if (stat.size === 0) return { kind: 'own' };
  if (stat.size > largest) return { kind: 'foreign', what: `it has ${stat.size} bytes` };
  const bytes = fs.readFileSync(file);
  const isElf = bytes.subarray(0, 4).equals(Buffer.from('\x7fELF'));
  if (isElf && bytes.includes(mark)) return { kind: 'own' };
  return { kind: 'foreign', what: isElf ? 'it is another program' : 'it is no ELF file' };
}
