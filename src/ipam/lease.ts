import { crc32 } from 'node:zlib';
import { IpAddr } from '../net/ip.ts';

/** One attachment of a network to a container: containers of one pod that follow each other have leases of their own (CNI7, CRI6). */
export interface LeaseKey {
  network: string;
  containerId: string;
  ifname: string;
}

/** What the holder of the addresses wants to find again after a restart; strings, nothing secret. */
export type LeaseNotes = Readonly<Record<string, string>>;

export interface Lease {
  key: LeaseKey;
  /** One for each family, primary family first. */
  addresses: readonly IpAddr[];
  notes: LeaseNotes;
  /** /proc/sys/kernel/random/boot_id when it was given: a lease of an earlier boot has no pod any more. */
  boot: string;
}

/** Text of a key, for maps; the parts cannot hold a slash (CNI4). */
export const keyText = ({ network, containerId, ifname }: LeaseKey): string => `${network}/${containerId}/${ifname}`;

/** Addresses are in the file's name, so that a lease whose contents are lost still tells which must not be given again. */
export const fileName = (lease: Pick<Lease, 'addresses'>): string => `${lease.addresses.join('_')}.json`;

/** The addresses that a file's name tells; undefined when it is not the name of a lease. */
export function addressesOfFile(name: string): IpAddr[] | undefined {
  if (!name.endsWith('.json')) return undefined;
  const addresses = name.slice(0, -'.json'.length).split('_').map(IpAddr.tryParse);
  return addresses.every((address) => address !== undefined) ? addresses : undefined;
}

export function encodeLease({ key, addresses, notes, boot }: Lease): string {
  const body = JSON.stringify({ version: 1, ...key, addresses, notes, boot });
  return `${body.slice(0, -1)},"sum":"${checksum(body)}"}\n`;
}

/** @throws SyntaxError saying what is wrong with it */
export function decodeLease(text: string): Lease {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(text.length === 0 ? 'it is empty' : 'it is not JSON', { cause });
  }
  const { sum, ...rest } = value;
  if (sum !== checksum(JSON.stringify(rest))) throw new SyntaxError('the checksum does not match');
  const { version, network, containerId, ifname, addresses, notes, boot } = rest;
  if (version !== 1) throw new SyntaxError(`its version is ${String(version)}, this podnet knows 1`);
  // What has the right checksum was written by encodeLease.
  const key = { network, containerId, ifname } as LeaseKey;
  return { key, addresses: (addresses as string[]).map(IpAddr.parse), notes: notes as LeaseNotes, boot: boot as string };
}

/** Against torn writes and stray edits, not against an attacker. */
const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
