import fs from 'node:fs';
import path from 'node:path';
import { annotationsCapability } from './bandwidth.ts';
import { ForeignFileError, putInPlace, removeTemporaries } from './put-in-place.ts';
import { supportedVersions } from './version.ts';

export const confListName = '10-podnet.conflist';

/** Runtimes hand over only what a plugin says it takes, and drop the rest in silence (CNI13). */
const capabilities = {
  portMappings: true,
  ips: true,
  mac: true,
  dns: true,
  bandwidth: true,
  [annotationsCapability]: true,
};

/**
 * The network's configuration for the runtime: one plugin in the list, since each further one costs a process per pod.
 * `cniVersion` is for runtimes before 1.1.0, which refuse a version they do not know; newer ones choose from `cniVersions`.
 */
function confList(networkName: string): string {
  const list = {
    cniVersion: '1.0.0',
    cniVersions: supportedVersions.slice(supportedVersions.indexOf('1.0.0')),
    name: networkName,
    plugins: [{ type: 'podnet', capabilities }],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/**
 * Writes it by rename, and only when it differs. To be called when ADD can be served and not before (CNI14): its appearance makes the node Ready.
 * It stays when the agent stops, so that a restart of the agent does not make the node NotReady; STATUS and ADD tell the truth meanwhile.
 * @returns whether the file was written; @throws ForeignFileError when what has the name is not what podnet writes, an own list of an admin's say
 */
export function writeConfList(directory: string, networkName: string): boolean {
  const file = path.join(directory, confListName);
  const text = confList(networkName);
  const there = readIfThere(file);
  if (there === text) return false;
  const why = there === undefined ? undefined : whyForeign(there);
  if (why !== undefined) throw new ForeignFileError(file, why);
  putInPlace(file, text, 0o644);
  return true;
}

/** Absent is success. @returns whether it was there; @throws ForeignFileError when what has the name is not what podnet writes */
export function removeConfList(directory: string): boolean {
  const file = path.join(directory, confListName);
  removeTemporaries(file);
  const there = readIfThere(file);
  if (there === undefined) return false;
  const why = whyForeign(there);
  if (why !== undefined) throw new ForeignFileError(file, why);
  fs.rmSync(file, { force: true });
  return true;
}

/**
 * What a runtime takes for configurations, as libcni's ConfFiles does: by the end of the name, hidden ones too, and no folders.
 * @returns their names, in the order that they are taken in; none where there is no such directory
 */
export function configurationsIn(directory: string): string[] {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => !entry.isDirectory() && /\.(conf|conflist|json)$/.test(entry.name))
    .map(({ name }) => name)
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/**
 * Configurations that a runtime takes before podnet's: it sorts files by name and takes the first.
 * @returns their names, with the network's name where it can be read
 */
export function takenBefore(directory: string): { file: string; network?: string }[] {
  const names = configurationsIn(directory).filter((name) => Buffer.compare(Buffer.from(name), Buffer.from(confListName)) < 0);
  return names.map((name) => {
    const file = path.join(directory, name);
    // Whoever reads a FIFO waits for its writer.
    const isFile = fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
    const network = isFile ? parse(readIfThere(file) ?? '')?.name : undefined;
    return typeof network === 'string' ? { file, network } : { file };
  });
}

/** What podnet writes has one plugin, of podnet's; what is more is an admin's. An empty file is what a power cut may leave, and nobody's. */
function whyForeign(text: string): string | undefined {
  if (text === '') return undefined;
  const list = parse(text);
  if (!list) return 'it is no JSON object';
  const types = Array.isArray(list.plugins) ? list.plugins.map((plugin: { type?: unknown } | null) => String(plugin?.type)) : [];
  return types.length === 1 && types[0] === 'podnet'
    ? undefined
    : `its plugins are ${types.join(', ') || 'none'}, not podnet alone`;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** @throws ForeignFileError when a folder or anything else that is no file has the name */
function readIfThere(file: string): string | undefined {
  try {
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() === false) throw new ForeignFileError(file, 'it is no regular file');
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
