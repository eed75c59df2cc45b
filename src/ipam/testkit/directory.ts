import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Prefix } from '../../net/prefix.ts';
import { Ipam, type IpamError, type IpamOptions, type Lease, type LeaseKey } from '../index.ts';

export const dual = ['10.244.1.0/28', 'fd00:10:244:1::/64'].map(Prefix.parse);
export const key = (containerId: string, network = 'podnet', ifname = 'eth0'): LeaseKey => ({ network, containerId, ifname });
export const text = (lease: Lease | undefined): string => lease?.addresses.join(' ') ?? 'none';

/** A directory of leases that is gone afterwards. */
export class Directory implements Disposable {
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), 'podnet-ipam-'));

  open(ranges = dual, options: IpamOptions = {}): Ipam {
    const ipam = new Ipam(this.path, options);
    ipam.setRanges(ranges);
    return ipam;
  }

  files(): string[] {
    return fs.readdirSync(this.path).sort();
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true, force: true });
  }
}

/** For `assert.throws`: an IpamError of this kind with such a message. */
export const fault = (name: string, message: RegExp) => (error: unknown) =>
  (error as IpamError).fault === name && message.test((error as Error).message);
