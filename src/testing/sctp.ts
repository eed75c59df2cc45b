const table = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/** CRC-32C as SCTP has it (RFC 9260 appendix A), with zero in the checksum's place. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255]!;
  return ~crc >>> 0;
}

/** INIT, RFC 9260 3.3.2, with the checksum that conntrack looks at: what a kernel without SCTP can be asked about it. */
export function sctpInit(from: number, to: number): Buffer {
  const packet = Buffer.alloc(12 + 20);
  packet.writeUInt16BE(from, 0);
  packet.writeUInt16BE(to, 2);
  packet[12] = 1;
  packet.writeUInt16BE(20, 14);
  packet.writeUInt32BE(0x706e0000 | from, 16);
  packet.writeUInt32BE(65536, 20);
  packet.writeUInt16BE(1, 24);
  packet.writeUInt16BE(1, 26);
  packet.writeUInt32BE(1, 28);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}
