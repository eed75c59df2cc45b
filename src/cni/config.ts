import { CniError, cniCode } from './errors.ts';
import type { AttachmentKey, Command } from './request.ts';
import { type Dns, parseResult, type Result } from './result.ts';
import { isDeeper, shown } from './shown.ts';
import { atLeast, type CniVersion, isSupported, supportedVersions } from './version.ts';
import { parseWishes, type Wishes } from './wishes.ts';

/** What a runtime hands over on stdin: the network's configuration with what it adds for one call. */
export interface NetworkConfig {
  cniVersion: CniVersion;
  name: string;
  /** Which of the executable's names was called; undefined where the runtime does not say. */
  type: string | undefined;
  dns: Dns | undefined;
  prevResult: Result | undefined;
  wishes: Wishes;
  /** GC only: what shall stay. */
  validAttachments: readonly Omit<AttachmentKey, 'network'>[];
}

/** Commands that came later than 0.3.0. */
const since: Partial<Record<Command, CniVersion>> = { CHECK: '0.4.0', STATUS: '1.1.0', GC: '1.1.0' };

/** Whoever passes one of these wants something done that podnet does not do; silence would be a lie (CNI2 code 2). */
const unsupportedRuntimeConfig = ['ipRanges', 'infinibandGUID', 'deviceID'];

/** No configuration and no result has a tenth of it. */
const deepest = 200;

/** @throws CniError 1, 2, 6 or 7 */
export function parseConfig(command: Command, stdin: Buffer): NetworkConfig {
  const json = parseJsonObject(stdin);
  const cniVersion = versionOf(command, json);
  const name = json.name;
  if (typeof name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    throw new CniError(
      cniCode.invalidConfig,
      `the network's name is ${shown(name)}: expected a letter or digit, then letters, digits, '_', '.' or '-'`,
    );
  const common = { cniVersion, name, type: typeof json.type === 'string' ? json.type : undefined };
  // DEL must work with whatever is left (CNI6): what ADD was refused for must not keep its DEL from succeeding.
  if (command !== 'ADD' && command !== 'CHECK') {
    const valid = command === 'GC' ? validAttachments(json['cni.dev/valid-attachments']) : [];
    return { ...common, dns: undefined, prevResult: undefined, wishes: parseWishes(undefined), validAttachments: valid };
  }
  // What is passed on or told of is written by recursion.
  if (stdin.length > 2 * deepest && isDeeper(json, deepest))
    throw new CniError(cniCode.decode, `the configuration on stdin has lists or objects nested more than ${deepest} deep`);
  const runtimeConfig = object(json.runtimeConfig, 'runtimeConfig');
  for (const key of unsupportedRuntimeConfig) {
    const value = runtimeConfig?.[key];
    const empty = value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
    if (!empty)
      throw new CniError(
        cniCode.unsupportedField,
        `runtimeConfig.${key} is ${shown(value)}, which podnet does not support`,
        `leave the capability '${key}' out of the network's configuration`,
      );
  }
  return {
    ...common,
    dns: dnsOf(json),
    prevResult: json.prevResult === undefined || json.prevResult === null ? undefined : parseResult(json.prevResult),
    wishes: parseWishes(runtimeConfig),
    validAttachments: [],
  };
}

/** The version that was asked for, for the format of an error; undefined when it cannot be told. */
export function requestedVersion(stdin: Buffer): string | undefined {
  try {
    const { cniVersion } = parseJsonObject(stdin);
    return typeof cniVersion === 'string' ? cniVersion : undefined;
  } catch {
    return undefined;
  }
}

function versionOf(command: Command, json: Record<string, unknown>): CniVersion {
  const version = json.cniVersion;
  const choice = `supported are ${supportedVersions.join(', ')}`;
  if (typeof version !== 'string' || !isSupported(version))
    throw new CniError(cniCode.incompatibleVersion, `cniVersion is ${shown(version)}`, choice);
  const first = since[command];
  if (first && !atLeast(version, first))
    throw new CniError(cniCode.incompatibleVersion, `cniVersion ${version} has no ${command}`, `${command} came with ${first}`);
  return version;
}

function parseJsonObject(stdin: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(stdin.toString());
  } catch (cause) {
    const what = stdin.length === 0 ? 'it is empty' : (cause as Error).message;
    throw new CniError(cniCode.decode, `the network's configuration on stdin is not JSON: ${what}`, undefined, { cause });
  }
  const parsed = object(value, 'the configuration on stdin');
  if (!parsed) throw new CniError(cniCode.decode, 'the configuration on stdin is null: expected a JSON object');
  return parsed;
}

/** The network's own, which may be empty: what it does not say is not said. */
const dnsOf = (json: Record<string, unknown>): Dns | undefined => {
  const dns = object(json.dns, 'dns');
  return dns && Object.keys(dns).length > 0 ? dns : undefined;
};

function object(value: unknown, what: string): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CniError(cniCode.decode, `${what} is ${shown(value)}: expected a JSON object`);
}

/**
 * Missing is an error, not an empty list: a runtime that forgot it would lose every attachment. null is one: so Go writes a list that nothing was put into, as libcni
 * does on a node without pods.
 */
function validAttachments(value: unknown): NetworkConfig['validAttachments'] {
  const field = 'cni.dev/valid-attachments';
  if (value === null) return [];
  if (!Array.isArray(value))
    throw new CniError(
      cniCode.invalidConfig,
      `${field} is ${shown(value)}: expected a list`,
      'GC deletes everything that the list does not name',
    );
  return value.map((entry: unknown, i) => {
    const { containerID, ifname } = object(entry, `${field}[${i}]`) ?? {};
    if (typeof containerID !== 'string' || typeof ifname !== 'string')
      throw new CniError(cniCode.invalidConfig, `${field}[${i}] is ${shown(entry)}: expected containerID and ifname`);
    return { containerId: containerID, ifname };
  });
}
