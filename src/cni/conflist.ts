import fs from 'node:fs';
import path from 'node:path';
import { supportedVersions } from './version.ts';

export const confListName = '10-podnet.conflist';

/** Runtimes hand over only what a plugin says it takes, and drop the rest in silence (CNI13). */
const capabilities = {
  portMappings: true,
  ips: true,
  mac: true,
  dns: true,
};

/**
 * The network's configuration for the runtime: one plugin in the list, since each further one costs a process per pod.
 * `cniVersion` is for runtimes before 1.1.0, which refuse a version they do not know; newer ones choose from `cniVersions`.
 */
export function confList(networkName: string): string {
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
 * @returns whether the file was written
 */
export function writeConfList(directory: string, networkName: string): boolean {
  const file = path.join(directory, confListName);
  const text = confList(networkName);
  if (readIfThere(file) === text) return false;
  fs.mkdirSync(directory, { recursive: true });
  // The runtime loads *.conf, *.conflist and *.json only.
  const temporary = path.join(directory, `.${confListName}.tmp`);
  fs.writeFileSync(temporary, text, { mode: 0o644 });
  fs.renameSync(temporary, file);
  return true;
}

/** For `cni remove`. Absent is success. */
export const removeConfList = (directory: string): void => fs.rmSync(path.join(directory, confListName), { force: true });

function readIfThere(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
