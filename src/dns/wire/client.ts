import { IpAddr } from '../../net/ip.ts';

/**
 * Where a question came from, as numbers, so that finding a pod or a counter by it allocates nothing. One object is used again for every datagram, as
 * `Query` is: `copy` makes one that stays.
 */
export class ClientAddress {
  /** 0: not known (tests without sockets). */
  family: 0 | 4 | 6 = 0;
  /** The address in network byte order, 32 bits each; IPv4 has it in the first. */
  readonly words = new Int32Array(4);

  /** @param bytes 4 bytes at `at`, e.g. in a struct sockaddr_in */
  setIpv4(bytes: Uint8Array, at: number): void {
    this.family = 4;
    this.words[0] = word(bytes, at);
    this.words[1] = this.words[2] = this.words[3] = 0;
  }

  /** @param bytes 16 bytes at `at`, e.g. in a struct sockaddr_in6 */
  setIpv6(bytes: Uint8Array, at: number): void {
    this.family = 6;
    for (let i = 0; i < 4; i++) this.words[i] = word(bytes, at + 4 * i);
  }

  /** @param text as node tells it; a zone id is left out */
  setText(text: string): void {
    const percent = text.indexOf('%');
    const address = IpAddr.tryParse(percent < 0 ? text : text.slice(0, percent));
    if (!address) this.family = 0;
    else if (address.family === 'ipv4') this.setIpv4(address.bytes, 0);
    else this.setIpv6(address.bytes, 0);
  }

  equals({ family, words }: ClientAddress): boolean {
    const own = this.words;
    return family === this.family && words[0] === own[0] && words[1] === own[1] && words[2] === own[2] && words[3] === own[3];
  }

  /** 32 bits, well mixed. An address can choose its own: bound what depends on it. */
  get hash(): number {
    let hash = 0x811c9dc5 ^ this.family;
    for (let i = 0; i < 4; i++) {
      hash = Math.imul(hash ^ this.words[i]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  copyFrom({ family, words }: ClientAddress): void {
    this.family = family;
    this.words.set(words);
  }

  copy(): ClientAddress {
    const copy = new ClientAddress();
    copy.copyFrom(this);
    return copy;
  }

  toIp(): IpAddr | undefined {
    if (this.family === 0) return undefined;
    const bytes = Buffer.alloc(this.family === 4 ? 4 : 16);
    for (let i = 0; i < bytes.length / 4; i++) bytes.writeInt32BE(this.words[i]!, 4 * i);
    return IpAddr.fromBytes(bytes);
  }

  toString(): string {
    return String(this.toIp() ?? 'unknown');
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
