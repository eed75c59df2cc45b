import { mkdtempSync, rmSync } from 'node:fs';
import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { IpAddr } from '../net/ip.ts';
import { run } from './judge.ts';

/** A network namespace for one test: bound to a file in /tmp, so that tools can enter it, with `lo` up. */
export class TestNs implements Disposable {
  readonly ns: NetNs;
  readonly path: string;
  readonly rt: RtNetlink;

  constructor(path: string) {
    this.path = path;
    this.ns = NetNs.create(path);
    try {
      this.rt = RtNetlink.open(this.ns);
      this.rt.setLink(1, { up: true });
    } catch (error) {
      this.ns[Symbol.dispose]();
      NetNs.remove(path);
      throw error;
    }
  }

  /** ifindex of a link. */
  index(name: string): number {
    const link = this.rt.link(name);
    if (!link) throw new Error(`${this.path} has no link ${name}`);
    return link.index;
  }

  /**
   * Gives the namespace an address, on `lo`, and returns when packets to it are its own. Until then the kernel has a route of an IPv6 address that rejects
   * (`addrconf_prefix_route` on lo: ENETUNREACH), and makes it local in a work queue (`addrconf_dad_work`), which takes a while where others compute.
   */
  own(address: string): void {
    const isLong = address.includes(':');
    run(this.path, 'ip', 'address', 'add', `${address}/${isLong ? 128 : 32}`, 'dev', 'lo', ...(isLong ? ['nodad'] : []));
    const deadline = Date.now() + 20_000;
    while (run(this.path, 'ip', isLong ? '-6' : '-4', 'route', 'show', 'table', 'local', address).trim() === '') {
      if (Date.now() > deadline) throw new Error(`${address} is not local in ${this.path} after 20 s`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }

  [Symbol.dispose](): void {
    this.rt[Symbol.dispose]();
    this.ns[Symbol.dispose]();
    NetNs.remove(this.path);
  }
}

let linkLocals = 0;

/** Namespaces of one test, all removed at its end: `using world = new TestWorld('rtnetlink')`. */
export class TestWorld implements Disposable {
  readonly directory: string;
  readonly #all: TestNs[] = [];

  /** @param room for the name: /tmp/podnet-test-<room>-<pid>-<six letters>, since PIDs of other PID namespaces may be the same */
  constructor(room: string) {
    this.directory = mkdtempSync(`/tmp/podnet-test-${room}-${process.pid}-`);
  }

  namespace(name: string): TestNs {
    const made = new TestNs(`${this.directory}/${name}`);
    this.#all.push(made);
    return made;
  }

  /**
   * Joins two namespaces with a veth pair and gives the ends addresses, usable at once.
   * @param a and b: where, and addresses such as `10.0.0.1/24`
   * @param names of the links; by default `to-<name of the other>`
   */
  join(
    a: TestNs,
    aAddresses: readonly string[],
    b: TestNs,
    bAddresses: readonly string[],
    names?: readonly [string, string],
  ): void {
    const nameOf = (other: TestNs): string => `to-${other.path.slice(other.path.lastIndexOf('/') + 1)}`;
    const [aName, bName] = names ?? [nameOf(b), nameOf(a)];
    a.rt.addLink({ type: 'veth', name: aName, peer: { name: bName, netNs: b.ns.fd } });
    configure(a, aName, aAddresses);
    configure(b, bName, bAddresses);
  }

  [Symbol.dispose](): void {
    for (const ns of this.#all.reverse()) ns[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function configure(where: TestNs, name: string, addresses: readonly string[]): void {
  const link = where.index(name);
  where.rt.batch((b) => {
    // No link-local address by the kernel: its duplicate detection would take a second.
    b.setLink(link, { addrGenMode: 'none', up: true });
    // A router without any link-local address cannot ask for neighbours (ndisc_send_ns): one that is usable at once, far from fe80::1, the pods' gateway.
    if (addresses.some((text) => text.includes(':'))) {
      const address = IpAddr.parse('fe80::7e57:0:0').offset(++linkLocals);
      b.addAddress({ link, address, prefixLength: 64, scope: 'link', flags: ['nodad'] });
    }
    for (const text of addresses) {
      const [address = '', length] = text.split('/');
      b.addAddress({ link, address: IpAddr.parse(address), prefixLength: Number(length), flags: ['nodad'] });
    }
  });
}
